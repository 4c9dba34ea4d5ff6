"""LibMTL's definitions against plain code that follows its example, line by line but in other words.

The lines are those of `examples/nyu/utils.py` in `median-research-group/LibMTL` at commit be187ce.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionseg.metrics import (
    ImageMetric,
    LibMTLDepthMetrics,
    LibMTLDisparityMetrics,
    LibMTLNormalsMetrics,
    LibMTLSemanticMetrics,
    SemanticMetrics,
)
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Array, Truth

Pair = tuple[dict[str, Array], Truth]
Maps = Callable[..., Pair]
Reference = Callable[[Sequence[Sequence[Pair]]], list[float]]


def stacked(batch: Sequence[Pair], kind: str) -> tuple[Tensor, Tensor]:
    """Answers and labels of a batch (B, ..., H, W)."""
    answers = np.stack([answers[kind] for answers, _ in batch])
    truths = [truth.semantic if kind == "semantic" else truth.maps[kind] for _, truth in batch]
    return torch.from_numpy(answers), torch.from_numpy(np.stack(truths))


def of_classes(batches: Sequence[Sequence[Pair]], num_classes: int) -> list[float]:
    """Mean IoU and accuracy (lines 10 to 32) by counting each pair of classes over all batches."""
    counts = np.zeros((num_classes, num_classes))
    for batch in batches:
        pred, gt = (labels.numpy() for labels in stacked(batch, "semantic"))
        for i in range(num_classes):
            for j in range(num_classes):
                counts[i, j] += int(((gt == i) & (pred == j)).sum())
    ious = []
    for c in range(num_classes):
        union = counts[c].sum() + counts[:, c].sum() - counts[c, c]
        ious.append(counts[c, c] / union if union else float("nan"))
    return [sum(ious) / num_classes, sum(counts[c, c] for c in range(num_classes)) / counts.sum()]


def of_depth(batches: Sequence[Sequence[Pair]]) -> list[float]:
    """Absolute and relative error (lines 35 to 63): batch means, weighted by the batches' valid pixels."""
    records, weights = [], []
    for batch in batches:
        pred, gt = stacked(batch, "depth")
        mask = gt != 0
        absolute = (pred[mask] - gt[mask]).abs().sum() / mask.sum()
        relative = ((pred[mask] - gt[mask]).abs() / gt[mask]).sum() / mask.sum()
        records.append([absolute.item(), relative.item()])
        weights.append(len(pred[mask]))
    return np.average(records, 0, weights).tolist()


def of_normals(batches: Sequence[Sequence[Pair]]) -> list[float]:
    """Mean, median and shares of angles (lines 66 to 82) over the valid pixels of all batches."""
    found = []
    for batch in batches:
        pred, gt = stacked(batch, "normals")
        dots = (pred / pred.norm(dim=1, keepdim=True) * gt).sum(1)[gt.sum(1) != 0]
        found.append(np.degrees(torch.acos(dots.clamp(-1, 1)).numpy()))
    angles = np.concatenate(found)
    return [angles.mean(), np.median(angles), *((angles < limit).mean() for limit in (11.25, 22.5, 30))]


@pytest.fixture(params=["semantic", "depth", "normals"])
def defined(request: pytest.FixtureRequest, num_classes: int) -> tuple[ImageMetric, Reference]:
    """A metric and its definition."""
    every: dict[str, tuple[ImageMetric, Reference]] = {
        "semantic": (LibMTLSemanticMetrics(num_classes), lambda batches: of_classes(batches, num_classes)),
        "depth": (LibMTLDepthMetrics(), of_depth),
        "normals": (LibMTLNormalsMetrics(), of_normals),
    }
    return every[request.param]


def measured(metric: ImageMetric, pairs: Sequence[Pair], answer: str | None = None) -> list[float]:
    added = total(metric.sums(answers[answer or metric.answer], truth) for answers, truth in pairs)
    return list(metric.figures(added).values())


def check(metric: ImageMetric, found: list[float], expected: list[float]) -> None:
    """Asserts that figures are equal to 1e-12, and a median within half a bin of the exact one."""
    tolerances = np.full(len(found), 1e-12)
    if metric.answer == "normals":
        tolerances[1] = 0.005 + 1e-9
    np.testing.assert_equal(np.isnan(found), np.isnan(expected))
    assert (np.nan_to_num(np.abs(np.subtract(found, expected))) <= tolerances).all(), (found, expected)


def test_a_thousand_random_maps_have_the_figures_of_the_example(
    random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    metric, reference = defined
    for seed in range(1000):
        pair = random_maps(seed)
        check(metric, measured(metric, [pair]), reference([[pair]]))


@pytest.mark.parametrize("batch_size", [1, 3, 8, 24])
def test_batches_of_any_size_have_the_same_figures(
    batch_size: int, random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    metric, reference = defined
    pairs = [random_maps(seed, void=0.1 * (seed % 5)) for seed in range(24)]
    batches = [pairs[i : i + batch_size] for i in range(0, len(pairs), batch_size)]
    check(metric, measured(metric, pairs), reference(batches))


def test_mean_iou_is_ours_where_every_class_occurs_and_else_undefined(
    random_maps: Maps, num_classes: int
) -> None:
    pairs = [random_maps(seed) for seed in range(20)]
    theirs, ours = (kind(num_classes) for kind in (LibMTLSemanticMetrics, SemanticMetrics))
    assert measured(theirs, pairs)[0] == pytest.approx(measured(ours, pairs)[0], abs=1e-15)
    theirs, ours = (kind(num_classes + 1) for kind in (LibMTLSemanticMetrics, SemanticMetrics))
    assert np.isnan(measured(theirs, pairs)[0])
    assert not np.isnan(measured(ours, pairs)[0])


def test_a_normal_of_length_zero_is_a_right_angle_off() -> None:
    zeros = np.zeros((1, 1), int)
    ahead = np.array([[[0.0]], [[0.0]], [[1.0]]])
    truth = Truth(zeros + VOID, zeros, maps={"normals": ahead})
    assert measured(LibMTLNormalsMetrics(), [({"normals": 0 * ahead}, truth)])[0] == 90


def test_disparity_is_measured_as_depth(random_maps: Maps) -> None:
    pairs = [random_maps(seed) for seed in range(3)]
    assert measured(LibMTLDisparityMetrics(), pairs, "depth") == measured(LibMTLDepthMetrics(), pairs)
