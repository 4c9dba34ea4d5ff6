import math

import numpy as np
import pytest
import torch
from torch_uncertainty.metrics.classification import (
    AURC,
    BrierScore,
    CategoricalNLL,
    ClasswiseCalibrationError,
)
from torchmetrics.functional.classification import multiclass_calibration_error

from fusionseg.metrics import ClassCalibration
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Truth

CLASSES = 4


def image(seed: int, shape: tuple[int, int] = (9, 13), void: float = 0.2) -> tuple[np.ndarray, Truth]:
    """Random log-probabilities, and a truth that often is the most likely class."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(CLASSES, 0.6), shape).transpose(2, 0, 1)
    semantic = np.where(rng.random(shape) < 0.6, probabilities.argmax(0), rng.integers(0, CLASSES, shape))
    semantic[rng.random(shape) < void] = VOID
    return np.log(probabilities).astype(np.float32), Truth(semantic, np.zeros(shape, int))


def figures(*images: tuple[np.ndarray, Truth]) -> dict[str, float]:
    metric = ClassCalibration(CLASSES)
    return metric.figures(total(metric.sums(*one) for one in images))


def flat(*images: tuple[np.ndarray, Truth]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, C) and classes (N,) of the labelled pixels."""
    known = [(np.exp(logs.astype(float)), truth.semantic) for logs, truth in images]
    probabilities = np.concatenate([p[:, s != VOID].T for p, s in known])
    return probabilities, np.concatenate([s[s != VOID] for _, s in known])


@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_the_most_likely_class_is_that_of_torchmetrics(seed: int) -> None:
    images = [image(seed), image(seed + 10)]
    probabilities, labels = map(torch.from_numpy, flat(*images))
    expected = multiclass_calibration_error(probabilities, labels, CLASSES, n_bins=15, norm="l1")
    assert figures(*images)["ece"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_torch_uncertainty(seed: int) -> None:
    images = [image(seed), image(seed + 10)]
    probabilities, labels = flat(*images)
    # no two pixels of one level, whose order would be unknown
    _, distinct = np.unique(np.log2(1 - probabilities.max(1)).round(2), return_index=True)
    probabilities = torch.from_numpy(probabilities[distinct])
    labels = torch.from_numpy(labels[distinct])
    logs = probabilities.log().T[:, None].numpy()
    found = figures((logs, Truth(labels[None].numpy(), np.zeros(logs.shape[1:], int))))
    for name, reference in (
        ("brier", BrierScore(CLASSES)),
        ("nll", CategoricalNLL()),
        ("classwise_ece", ClasswiseCalibrationError(CLASSES, 15)),
    ):
        reference.update(probabilities, labels)
        assert found[name] == pytest.approx(float(reference.compute()), rel=1e-5), name
    area = AURC()
    area.update(probabilities, labels)
    risk = area.partial_compute()
    # its area is by trapezoids from the first pixel on, ours the mean over all numbers of pixels
    number = len(labels)
    mean = (float(area.compute()) * (number - 1) + float(risk[0] + risk[-1]) / 2) / number
    assert found["aurc"] == pytest.approx(mean, rel=1e-5)
    assert found["aurc_error"] < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_all_figures_are_those_of_loops_over_pixels(seed: int) -> None:
    images = [image(seed, (5, 7)), image(seed + 10, (6, 4))]
    probabilities, labels = flat(*images)
    number = len(labels)
    errors = []
    for c in range(CLASSES):
        error = 0.0
        for i in range(15):
            inside = [n for n in range(number) if min(int(probabilities[n, c] * 15), 14) == i]
            if inside:
                confidence = sum(probabilities[n, c] for n in inside) / len(inside)
                share = sum(labels[n] == c for n in inside) / len(inside)
                error += len(inside) / number * abs(confidence - share)
        errors.append(error)
    brier = sum((probabilities[n, c] - (labels[n] == c)) ** 2 for n in range(number) for c in range(CLASSES))
    nll = -sum(math.log(probabilities[n, labels[n]]) for n in range(number))
    order = np.argsort(-probabilities.max(1))
    wrong = (probabilities.argmax(1) != labels)[order]
    risks = [wrong[:k].mean() for k in range(1, number + 1)]
    found = figures(*images)
    assert found["classwise_ece"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert found["brier"] == pytest.approx(brier / number, rel=1e-5)
    assert found["nll"] == pytest.approx(nll / number, rel=1e-5)
    assert abs(found["aurc"] - np.mean(risks)) <= found["aurc_error"] + 1e-9
    metric = ClassCalibration(CLASSES)
    sums = total(metric.sums(*one) for one in images)
    assert metric.per_class(sums)["ece"] == pytest.approx(errors, rel=1e-5)


def test_void_pixels_do_not_count() -> None:
    logs, truth = image(3)
    changed = logs.copy()
    changed[:, truth.semantic == VOID] = np.nan
    assert figures((changed, truth)) == figures((logs, truth))


def test_probabilities_that_underflow_keep_their_likelihood() -> None:
    logs = np.array([[[-110.0]], [[-60.0]], [[-1e-26]], [[-np.inf]]], np.float32)
    for label, expected in ((0, 100), (1, 60), (2, 0), (3, 100)):
        truth = Truth(np.array([[label]]), np.zeros((1, 1), int))
        assert figures((logs, truth))["nll"] == pytest.approx(expected, abs=1e-6)


def test_perfect_certainty_has_no_error() -> None:
    labels = np.arange(CLASSES)[None]
    logs = np.where(np.arange(CLASSES)[:, None, None] == labels, 0, -np.inf)
    found = figures((logs, Truth(labels, np.zeros((1, CLASSES), int))))
    assert list(found.values()) == pytest.approx([0] * 6, abs=1e-12)


@pytest.mark.parametrize(
    ("logs", "semantic", "message"),
    [
        (
            np.zeros((3, 2, 2)),
            np.zeros((2, 2), int),
            r"expected log-probabilities \(4, 2, 2\), found \(3, 2, 2\)",
        ),
        (np.zeros((4, 2, 2)), np.full((2, 2), 9), r"expected class ids in 0\.\.3 or 255, found 9"),
        (np.full((4, 2, 2), np.nan), np.zeros((2, 2), int), "found values that are no number"),
    ],
)
def test_what_cannot_be_measured_is_refused(logs: np.ndarray, semantic: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassCalibration(4).sums(logs, Truth(semantic, np.zeros((2, 2), int)))
