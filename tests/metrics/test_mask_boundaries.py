import numpy as np
import pytest

from fusionseg.metrics.mask_boundaries import boundary_distance, label_boundaries, mask_boundary
from fusionseg.sample import IntMap


def eroded_away(mask: np.ndarray, distance: int) -> np.ndarray:
    """What erosions by 3 x 3 pixels take from a mask that has a border of one pixel of 0, pixel by pixel."""
    left = np.pad(mask, 1)
    for _ in range(distance):
        before = left.copy()
        for y in range(1, mask.shape[0] + 1):
            for x in range(1, mask.shape[1] + 1):
                left[y, x] = before[y - 1 : y + 2, x - 1 : x + 2].all()
    return mask & ~left[1:-1, 1:-1]


def random_labels(seed: int, shape: tuple[int, int] = (23, 31)) -> IntMap:
    """A map of ragged regions of different sizes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (shape[0] // 7 + 1, shape[1] // 9 + 1))
    labels = np.kron(coarse, np.ones((7, 9), np.int64))[: shape[0], : shape[1]]
    spots = random.random(shape) < 0.01
    return np.where(spots, random.integers(0, 4, shape), labels)


@pytest.mark.parametrize("distance", [1, 2, 4, 40])
def test_the_boundary_of_a_mask_is_what_erosions_take_away(distance: int) -> None:
    for seed in range(3):
        mask = random_labels(seed) > 1
        np.testing.assert_array_equal(mask_boundary(mask, distance), eroded_away(mask, distance))


@pytest.mark.parametrize("distance", [1, 3])
@pytest.mark.parametrize("shape", [(23, 31), (1, 12), (9, 1)])
def test_the_boundaries_of_a_label_map_are_those_of_each_of_its_masks(
    distance: int, shape: tuple[int, int]
) -> None:
    labels = random_labels(5, shape)
    expected = np.zeros(shape, bool)
    for number in np.unique(labels):
        expected |= eroded_away(labels == number, distance)
    np.testing.assert_array_equal(label_boundaries(labels, distance), expected)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.uint64])
def test_ids_may_be_of_any_type_and_number(kind: type) -> None:
    size = min(np.iinfo(kind).max, 70_000)
    ids = np.kron(np.array([[size, size - 1], [0, size]]), np.ones((5, 6), np.int64)).astype(kind)
    expected = np.zeros(ids.shape, bool)
    for number in (0, size - 1, size):
        expected |= eroded_away(ids == number, 2)
    np.testing.assert_array_equal(label_boundaries(ids, 2), expected)


def test_a_mask_of_one_pixel_and_an_empty_one_are_no_special_cases() -> None:
    mask = np.zeros((5, 5), bool)
    assert not mask_boundary(mask, 1).any()
    mask[2, 2] = True
    np.testing.assert_array_equal(mask_boundary(mask, 3), mask)
    assert mask_boundary(np.zeros((0, 4), bool), 2).shape == (0, 4)


def test_the_distance_is_a_rounded_share_of_the_diagonal_and_at_least_one() -> None:
    assert boundary_distance((300, 400)) == 10
    assert boundary_distance((10, 10)) == 1
    # Python's round, as in the official code: 1.5 and 2.5 both become 2
    assert [boundary_distance(shape) for shape in ((45, 60), (75, 100))] == [2, 2]
    assert boundary_distance((1024, 2048), 0.005) == 11


def test_distances_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 pixel, found 0"):
        mask_boundary(np.ones((3, 3), bool), 0)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"share of the diagonal in \(0, 1\)"):
            boundary_distance((10, 10), share)
