import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from fusionseg.metrics.correspondence import Correspondence, correspondence
from fusionseg.metrics.thinning import Masks


def reference(predicted: Masks, true: Masks, radius: float) -> tuple[int, np.ndarray]:
    """The size of a maximum matching of two maps by scipy."""
    first = np.argwhere(predicted)
    second = np.argwhere(true)
    near = ((first[:, None] - second) ** 2).sum(2) <= radius**2
    if not near.any():
        return 0, np.zeros(len(first), bool)
    partner = maximum_bipartite_matching(csr_array(near), perm_type="column")
    return int((partner >= 0).sum()), near.any(1)


@pytest.mark.parametrize("radius", [0.0, 1.0, 1.5, 3.0, 4.34])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.4])
def test_each_pair_of_maps_has_a_matching_of_maximum_cardinality(radius: float, density: float) -> None:
    random = np.random.default_rng([int(radius * 10), int(density * 100)])
    predicted = random.random((4, 25, 31)) < np.array([0.3, 1, 2, 0])[:, None, None] * density
    true = random.random((3, 25, 31)) < density
    found = correspondence(predicted, true, radius)
    sizes = [[reference(first, second, radius)[0] for second in true] for first in predicted]
    assert found.recalled.tolist() == sizes


def test_curves_that_run_side_by_side_are_matched_completely() -> None:
    # long augmenting paths: each pixel has several candidates, and the ends decide
    down, right = np.mgrid[:60, :200]
    predicted = np.abs(down - 30 - 20 * np.sin(right / 30)) < 0.9
    true = np.abs(down - 31 - 20 * np.sin((right - 3) / 30)) < 0.5
    found = correspondence(predicted[None], true[None], 3.0)
    assert found.recalled.item() == reference(predicted, true, 3.0)[0]


def test_with_one_truth_as_many_are_found_as_recalled() -> None:
    random = np.random.default_rng(0)
    predicted = random.random((3, 20, 20)) < 0.1
    found = correspondence(predicted, random.random((1, 20, 20)) < 0.2, 2.5)
    assert np.array_equal(found.found, found.recalled[:, 0])


def test_a_pixel_is_found_if_any_truth_has_a_partner_for_it() -> None:
    predicted = np.zeros((1, 3, 12), bool)
    predicted[0, 1, [1, 9]] = True
    true = np.zeros((2, 3, 12), bool)
    true[0, 1, 2] = True
    true[1, 1, [2, 9]] = True
    found = correspondence(predicted, true, 1.0)
    assert found.found.tolist() == [2]
    assert found.recalled.tolist() == [[1, 2]]


def test_two_pixels_do_not_share_a_partner() -> None:
    predicted = np.zeros((1, 1, 5), bool)
    predicted[0, 0, [1, 3]] = True
    true = np.zeros((1, 1, 5), bool)
    true[0, 0, 2] = True
    assert correspondence(predicted, true, 1.0).found.tolist() == [1]


def test_nothing_matches_nothing() -> None:
    empty = np.zeros((2, 4, 4), bool)
    found = correspondence(empty, empty[:1], 2.0)
    assert isinstance(found, Correspondence)
    assert found.found.tolist() == [0, 0]
    assert found.recalled.tolist() == [[0], [0]]


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        correspondence(np.zeros((1, 4, 4), bool), np.zeros((1, 4, 5), bool), 2.0)
