import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.metrics import OffsetMetrics
from fusionseg.metrics.offsets import offset_sums
from fusionseg.sample import Truth

Maps = npt.NDArray[Any]


def random_maps(seed: int, shape: tuple[int, int] = (12, 17)) -> tuple[Maps, Maps, Maps]:
    """Offsets, region ids of which a fifth is 0, and class ids of three classes and void."""
    rng = np.random.default_rng(seed)
    region = rng.integers(1, 5, shape) * 9
    region[rng.random(shape) < 0.2] = 0
    semantic = rng.choice([0, 1, 2, 255], shape)
    return rng.normal(0, 9, (2, *shape)), region, semantic


def reference(offsets: Maps, region: Maps) -> float:
    """Kendall's mean instance error, pixel by pixel: the mean of |x - x*| + |y - y*|."""
    pixels: dict[int, list[tuple[int, int]]] = {}
    for place, one in np.ndenumerate(region):
        if one:
            pixels.setdefault(int(one), []).append(place)  # type: ignore[arg-type]
    errors = []
    for members in pixels.values():
        row = sum(y for y, _ in members) / len(members)
        column = sum(x for _, x in members) / len(members)
        for y, x in members:
            errors.append(abs(offsets[0, y, x] - (row - y)) + abs(offsets[1, y, x] - (column - x)))
    return sum(errors) / len(errors)


@pytest.mark.parametrize("seed", range(5))
def test_the_instance_error_equals_a_loop_over_pixels(seed: int) -> None:
    offsets, region, semantic = random_maps(seed)
    metric = OffsetMetrics()
    figure = metric.figures(metric.sums(offsets, Truth(semantic, region)))["instance_error"]
    assert figure == pytest.approx(reference(offsets, region), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_only_pixels_of_the_classes_of_instances_count_and_give_centroids(seed: int) -> None:
    offsets, region, semantic = random_maps(seed)
    metric = OffsetMetrics(instances=[1, 2])
    figure = metric.figures(metric.sums(offsets, Truth(semantic, region)))["instance_error"]
    inside = np.where((semantic == 1) | (semantic == 2), region, 0)
    assert figure == pytest.approx(reference(offsets, inside), rel=1e-12)


def test_the_error_of_several_images_is_that_of_all_their_pixels() -> None:
    small, large = random_maps(1, (5, 6)), random_maps(2, (30, 20))
    metric = OffsetMetrics()
    for offsets, region, semantic in (small, large):
        metric.update(offsets, Truth(semantic, region))
    areas = [np.count_nonzero(region) for _, region, _ in (small, large)]
    expected = np.average([reference(*maps[:2]) for maps in (small, large)], weights=areas)
    assert metric.compute()["instance_error"].item() == pytest.approx(expected, rel=1e-12)


def test_exact_offsets_have_no_error_and_unlabelled_pixels_do_not_matter() -> None:
    region = np.array([[0, 3, 3, 3], [0, 0, 0, 8]])
    offsets = np.array([[[np.nan, 0, 0, 0], [9, 9, 9, 0]], [[9, 1, 0, -1], [9, 9, np.inf, 0]]])
    np.testing.assert_array_equal(offset_sums(offsets, region), [4, 0])


def test_offsets_of_another_size_and_such_as_are_not_finite_are_refused() -> None:
    region = np.ones((3, 4), int)
    with pytest.raises(
        ValueError, match=re.escape("expected offsets of the shape (2, 3, 4), found (2, 4, 3)")
    ):
        offset_sums(np.zeros((2, 4, 3)), region)
    with pytest.raises(ValueError, match="found NaN or infinity in 12 of 12 labelled pixels"):
        offset_sums(np.full((2, 3, 4), np.nan), region)
