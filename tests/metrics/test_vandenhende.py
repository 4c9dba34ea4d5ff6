"""Vandenhende's definitions against loops that follow the files of his repository, in other words.

The lines are those of `evaluation/` in `SimonVandenhende/Multi-Task-Learning-PyTorch`, of `eval_semseg.py` and
`eval_normals.py` at commit d16e10b and of `eval_depth.py` at 56815d5.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fusionseg.metrics import (
    ImageMetric,
    VandenhendeDepthMetrics,
    VandenhendeNormalsMetrics,
    VandenhendeSemanticMetrics,
)
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Array, Truth

Pair = tuple[dict[str, Array], Truth]
Maps = Callable[..., Pair]
Reference = Callable[[Sequence[Pair]], dict[str, float]]


def of_classes(images: Sequence[Pair], num_classes: int) -> dict[str, float]:
    """Mean IoU (`eval_semseg.py`, lines 34 to 76) from true and false positives and false negatives."""
    ious = []
    for c in range(num_classes):
        right = wrong = 0
        for answers, truth in images:
            known = truth.semantic != VOID
            right += int(((answers["semantic"] == c) & (truth.semantic == c))[known].sum())
            wrong += int(((answers["semantic"] == c) != (truth.semantic == c))[known].sum())
        ious.append(right / max(right + wrong, 1e-8))
    return {"miou": sum(ious) / num_classes}


def of_depth(images: Sequence[Pair]) -> dict[str, float]:
    """Root mean squared errors of depth and its logarithm (`eval_depth.py`, lines 18 to 54)."""
    squares, logarithms = [], []
    for answers, truth in images:
        for p, t in zip(answers["depth"].ravel().tolist(), truth.maps["depth"].ravel().tolist(), strict=True):
            if t != 0:
                p = 1e-9 if p <= 0 else p
                squares.append((t - p) ** 2)
                logarithms.append((math.log(t) - math.log(p)) ** 2)
    means = [math.fsum(values) / len(values) for values in (squares, logarithms)]
    return {"depth_rmse": math.sqrt(means[0]), "depth_log_rmse": math.sqrt(means[1])}


def of_normals(images: Sequence[Pair]) -> dict[str, float]:
    """Mean, median, root mean square and shares of angles (`eval_normals.py`, lines 18 to 64)."""
    found = []
    for answers, truth in images:
        for p, t in zip(
            answers["normals"].reshape(3, -1).T, truth.maps["normals"].reshape(3, -1).T, strict=True
        ):
            if np.linalg.norm(t) != 0:
                unit = [v / (np.linalg.norm(v) + 1e-12) for v in (p, t)]
                found.append(math.degrees(math.acos(max(-1.0, min(1.0, float(unit[0] @ unit[1]))))))
    angles = np.array(found)
    shares = {f"normals_within_{int(limit)}": float((angles < limit).mean()) for limit in (11.25, 22.5, 30)}
    squared = float((angles**2).mean() ** 0.5)
    middle = {"normals_mean": float(angles.mean()), "normals_median": float(np.median(angles))}
    return {**middle, **shares, "normals_rmse": squared}


@pytest.fixture(params=["semantic", "depth", "normals"])
def defined(request: pytest.FixtureRequest, num_classes: int) -> tuple[ImageMetric, Reference]:
    """A metric and its definition."""
    every: dict[str, tuple[ImageMetric, Reference]] = {
        "semantic": (VandenhendeSemanticMetrics(num_classes), lambda images: of_classes(images, num_classes)),
        "depth": (VandenhendeDepthMetrics(), of_depth),
        "normals": (VandenhendeNormalsMetrics(), of_normals),
    }
    return every[request.param]


def measured(metric: ImageMetric, images: Sequence[Pair]) -> dict[str, float]:
    added = total(metric.sums(answers[metric.answer], truth) for answers, truth in images)
    return {name.removesuffix("_vandenhende"): value for name, value in metric.figures(added).items()}


def check(metric: ImageMetric, reference: Reference, images: Sequence[Pair]) -> None:
    """Asserts that figures are equal to 1e-12, and a median within half a bin of the exact one."""
    found = measured(metric, images)
    expected = reference(images)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        tolerance = 0.005 + 1e-9 if name == "normals_median" else 1e-12
        assert abs(value - expected[name]) <= tolerance, name


def test_a_thousand_random_maps_have_the_figures_of_the_repository(
    random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    for seed in range(1000):
        check(*defined, [random_maps(seed)])


def test_the_figures_of_a_set_are_those_of_all_its_pixels(
    random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    check(*defined, [random_maps(seed, void=0.1 * (seed % 5)) for seed in range(30)])


def test_a_class_that_occurs_nowhere_counts_as_zero() -> None:
    zeros = np.zeros((2, 2), int)
    assert measured(VandenhendeSemanticMetrics(4), [({"semantic": zeros}, Truth(zeros, zeros))]) == {
        "miou": 0.25
    }


def test_a_depth_below_zero_counts_as_almost_zero() -> None:
    zeros = np.zeros((1, 1), int)
    truth = Truth(zeros, zeros, maps={"depth": np.array([[1.0]])})
    found = measured(VandenhendeDepthMetrics(), [({"depth": np.array([[-5.0]])}, truth)])
    assert found == {
        "depth_rmse": pytest.approx(1, abs=1e-8),
        "depth_log_rmse": pytest.approx(9 * math.log(10)),
    }
