import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from fusionseg.heads.region_targets import boundaries
from fusionseg.metrics import BoundaryCalibration
from fusionseg.metrics.boundary_calibration import TOLERANCE, observed
from fusionseg.metrics.edges import two_sided
from fusionseg.metrics.suite import total
from fusionseg.sample import Truth


def regions(seed: int, shape: tuple[int, int] = (14, 17)) -> np.ndarray:
    """Blocks of regions, some of them void."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 4, (3, 3))
    rows, columns = (np.sort(rng.integers(0, size, 2)).searchsorted(np.arange(size)) for size in shape)
    return blocks[rows[:, None], columns]


def image(seed: int, annotators: int = 1) -> tuple[np.ndarray, Truth]:
    rng = np.random.default_rng(seed)
    first, *others = (regions(seed + 100 * i) for i in range(annotators))
    truth = Truth(np.zeros(first.shape, int), first, others=tuple(others))
    edges = two_sided(first, first > 0)
    return rng.normal(2 * edges - 1, 1.5).astype(np.float32), truth


def pairs(logits: np.ndarray, truth: Truth, band: float) -> list[tuple[float, bool]]:
    """The probability and the truth of each pixel for each annotator, by looking at all pixels around."""
    people = [truth.region, *truth.others]
    height, width = logits.shape

    def boundary(region: np.ndarray, y: int, x: int) -> bool:
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(i, j) for i, j in around if 0 <= i < height and 0 <= j < width]
        return bool(region[y, x]) and any(region[p] not in (0, region[y, x]) for p in inside)

    pixels = [(y, x) for y in range(height) for x in range(width)]
    edge = [(y, x) for y, x in pixels if any(boundary(region, y, x) for region in people)]
    found = []
    for y, x in pixels:
        if any((y - i) ** 2 + (x - j) ** 2 <= band**2 for i, j in edge):
            probability = 1 / (1 + math.exp(-logits[y, x]))
            found += [(probability, boundary(r, y, x)) for r in people if r[y, x]]
    return found


def test_both_sides_are_what_boundary_heads_learn() -> None:
    for seed in range(5):
        region = regions(seed)
        [expected] = boundaries(torch.from_numpy(region)[None])
        np.testing.assert_array_equal(two_sided(region, region > 0), expected.numpy())


@pytest.mark.parametrize("annotators", [1, 3])
@pytest.mark.parametrize("band", [0, 1, 1.5, 3])
def test_figures_are_those_of_loops_over_pixels_and_annotators(annotators: int, band: float) -> None:
    images = [image(seed, annotators) for seed in (1, 2)]
    each = [pair for one in images for pair in pairs(*one, band)]
    probability, boundary = (np.array(values) for values in zip(*each, strict=True))
    metric = BoundaryCalibration(band)
    found = metric.figures(total(metric.sums(*one) for one in images))
    ece = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(boundary).int(), 15)
    assert found["boundary_ece"] == pytest.approx(float(ece), rel=1e-5)
    assert found["boundary_brier"] == pytest.approx(np.mean((probability - boundary) ** 2), rel=1e-5)
    nll = np.mean([-math.log(p if b else 1 - p) for p, b in each])
    assert found["boundary_nll"] == pytest.approx(nll, rel=1e-5)
    order = np.argsort(-np.maximum(probability, 1 - probability))
    wrong = ((probability > 0.5) != boundary)[order]
    aurc = np.mean([wrong[:k].mean() for k in range(1, len(wrong) + 1)])
    assert abs(found["boundary_aurc"] - aurc) <= found["boundary_aurc_error"] + 1e-9


def test_the_band_is_the_tolerance_of_boundaries_where_it_is_left_out() -> None:
    region = np.repeat([[1, 2]], 150, 1).repeat(400, 0)
    truth = Truth(np.zeros(region.shape, int), region)
    [seen] = observed(truth)
    columns = np.flatnonzero(seen.where[0])
    reach = math.floor(TOLERANCE * 500)
    assert columns.tolist() == list(range(149 - reach, 151 + reach))
    assert seen.boundary[0].nonzero()[0].tolist() == [149, 150]


def test_an_image_without_boundaries_adds_nothing() -> None:
    metric = BoundaryCalibration()
    alone = Truth(np.zeros((4, 4), int), np.ones((4, 4), int))
    unknown = Truth(np.zeros((4, 4), int), regions(0)[:4, :4], has_regions=False)
    for truth in (alone, unknown):
        assert not any(value.any() for value in metric.sums(np.zeros((4, 4)), truth).values())


def test_infinite_logits_have_a_finite_likelihood() -> None:
    metric = BoundaryCalibration(0)
    truth = Truth(np.zeros((1, 2), int), np.array([[1, 2]]))
    found = metric.figures(metric.sums(np.array([[np.inf, -np.inf]]), truth))
    assert found["boundary_nll"] == 50
    assert found["boundary_brier"] == 0.5


def test_what_cannot_be_measured_is_refused() -> None:
    truth = image(0)[1]
    with pytest.raises(ValueError, match=r"expected logits of shape \(14, 17\), found \(3, 3\)"):
        BoundaryCalibration().sums(np.zeros((3, 3)), truth)
    with pytest.raises(ValueError, match="found values that are no number"):
        BoundaryCalibration().sums(np.full((14, 17), np.nan), truth)
    with pytest.raises(ValueError, match="expected a band of 0 or more pixels, found -1"):
        BoundaryCalibration(-1)
