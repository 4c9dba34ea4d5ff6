from math import hypot
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.metrics.boundary import (
    BOUNDARY_SUMS,
    boundary_figures,
    boundary_sums,
    by_dilation,
    by_distance,
    near,
)

Map = npt.NDArray[np.integer[Any]]


def random_maps(seed: int) -> tuple[Map, Map]:
    """Prediction and truth in blocks that are shifted against each other, the truth with some void."""
    random = np.random.default_rng(seed)
    truth = np.kron(random.integers(0, 4, (4, 5)), np.ones((10, 9), np.int64))
    return np.roll(truth, random.integers(0, 4, 2), (0, 1)), truth


def slow_boundary(labels: Map, truth: Map) -> list[tuple[int, int]]:
    height, width = truth.shape
    pixels = []
    for y in range(height):
        for x in range(width):
            around = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            inside = [(v, u) for v, u in around if v < height and u < width]
            if truth[y, x] and any(truth[n] and labels[n] != labels[y, x] for n in inside):
                pixels.append((y, x))
    return pixels


def slow_matches(pixels: list[tuple[int, int]], others: list[tuple[int, int]], radius: float) -> int:
    return sum(any(hypot(y - v, x - u) <= radius for v, u in others) for y, x in pixels)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [0, 1, 1.5, 5])
def test_sums_equal_all_pairs_of_pixels(seed: int, radius: float) -> None:
    prediction, truth = random_maps(seed)
    predicted, true = slow_boundary(prediction, truth), slow_boundary(truth, truth)
    expected = (
        slow_matches(predicted, true, radius),
        len(predicted),
        slow_matches(true, predicted, radius),
        len(true),
    )
    # A little more, so that the radius survives the division; no distance of pixels lies in between.
    sums = boundary_sums(prediction, truth, tolerance=(radius + 1e-9) / hypot(*truth.shape))
    assert dict(zip(BOUNDARY_SUMS, sums, strict=True)) == dict(zip(BOUNDARY_SUMS, expected, strict=True))


@pytest.mark.parametrize("radius", [0.0, 0.9, 1.0, 2**0.5, 5.0, 7.3, 13.0, 16.5, 25.0, 41.01])
def test_dilation_and_distance_transform_find_the_same_pixels(radius: float) -> None:
    random = np.random.default_rng(int(radius))
    for share in (0, 1e-4, 1e-2, 1):
        targets = random.random((90, 130)) < share
        dilated = by_dilation(targets, radius)
        assert np.array_equal(dilated, by_distance(targets, radius))
        pixels = random.random(targets.shape) < 0.5
        assert near(targets, pixels, radius) == np.count_nonzero(dilated & pixels)
        if share == 1e-4:
            rows, columns = np.nonzero(targets)
            y, x = np.ogrid[:90, :130]
            squared = [(y - v) ** 2 + (x - u) ** 2 for v, u in zip(rows, columns, strict=True)]
            assert np.array_equal(
                dilated, np.any([d <= radius**2 for d in squared], 0) if squared else targets
            )


def test_tolerance_is_a_fraction_of_the_diagonal() -> None:
    truth = np.ones((300, 400), np.int64)
    truth[:, 200:] = 2
    for shift, matched in ((3, True), (4, False)):
        sums = boundary_sums(np.roll(truth, shift, 1)[:, 20:-20], truth[:, 20:-20])
        assert boundary_figures(sums)["boundary_recall"] == matched
    assert np.array_equal(boundary_sums(truth, truth), [300] * 4)


def test_rim_of_void_is_no_boundary() -> None:
    truth = np.ones((9, 9), np.int64)
    truth[3:6, 3:6] = 0
    inside = np.arange(81).reshape(9, 9) * (truth == 0)
    assert not boundary_sums(inside, truth).any()


def test_figures_are_those_of_the_added_sums() -> None:
    figures = boundary_figures(np.add([30, 40, 10, 20], [0, 20, 15, 20]))
    precision, recall = 30 / 60, 25 / 40
    assert figures["boundary_precision"] == precision
    assert figures["boundary_recall"] == recall
    assert figures["boundary_f"] == pytest.approx(2 / (1 / precision + 1 / recall))


def test_only_what_has_no_boundaries_is_undefined() -> None:
    one, two = np.ones((4, 4), np.int64), np.repeat([[1, 1, 2, 2]], 4, axis=0)
    both, missed, invented = (
        boundary_figures(boundary_sums(*maps)) for maps in ((one, one), (one, two), (two, one))
    )
    assert all(np.isnan(figure) for figure in both.values())
    assert np.isnan(missed["boundary_precision"])
    assert (missed["boundary_recall"], missed["boundary_f"]) == (0, 0)
    assert np.isnan(invented["boundary_recall"])
    assert (invented["boundary_precision"], invented["boundary_f"]) == (0, 0)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, found \(2, 3\) and \(3, 2\)"):
        boundary_sums(np.ones((2, 3), np.int64), np.ones((3, 2), np.int64))
