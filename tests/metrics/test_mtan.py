"""The definitions of MTAN against loops that follow its repository, line by line but in other words.

The lines are those of `im2im_pred/utils.py` in `lorenmt/mtan` at commit 1342634.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean, median

import numpy as np
import pytest

from fusionseg.metrics import (
    ImageMetric,
    MTANDepthMetrics,
    MTANDisparityMetrics,
    MTANNormalsMetrics,
    MTANSemanticMetrics,
)
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Array, Truth

Pair = tuple[dict[str, Array], Truth]
Maps = Callable[..., Pair]


def of_classes(batch: Sequence[Pair], num_classes: int) -> list[float]:
    """Mean IoU (lines 35 to 63) and pixel accuracy (66 to 79): means over the images of a batch."""
    mious, accuracies = [], []
    for answers, truth in batch:
        pixels = list(zip(answers["semantic"].ravel().tolist(), truth.semantic.ravel().tolist(), strict=True))
        ious = []
        for c in range(num_classes):
            union = sum((p == c or t == c) and t != VOID for p, t in pixels)
            if union:
                ious.append(sum(p == c and t == c for p, t in pixels) / union)
        mious.append(fmean(ious))
        accuracies.append(sum(p == t for p, t in pixels) / sum(t != VOID for _, t in pixels))
    return [fmean(mious), fmean(accuracies)]


def of_depth(batch: Sequence[Pair]) -> list[float]:
    """Absolute and relative error (lines 82 to 90): means over the valid pixels of a batch together."""
    pixels = [
        (p, t)
        for answers, truth in batch
        for p, t in zip(answers["depth"].ravel().tolist(), truth.maps["depth"].ravel().tolist(), strict=True)
        if t != 0
    ]
    return [fmean(abs(p - t) for p, t in pixels), fmean(abs(p - t) / t for p, t in pixels)]


def of_normals(batch: Sequence[Pair]) -> list[float]:
    """Mean, median and shares of angles (lines 93 to 97) over the valid pixels of a batch together."""
    angles = []
    for answers, truth in batch:
        for p, t in zip(
            answers["normals"].reshape(3, -1).T, truth.maps["normals"].reshape(3, -1).T, strict=True
        ):
            if t[0] + t[1] + t[2] != 0:
                angles.append(math.degrees(math.acos(max(-1.0, min(1.0, float(p @ t))))))
    shares = [fmean(angle < limit for angle in angles) for limit in (11.25, 22.5, 30)]
    return [fmean(angles), median(angles), *shares]


def unit(pair: Pair) -> Pair:
    """The same with normals of length 1, as the paper's network predicts them."""
    answers, truth = pair
    normals = answers["normals"] / np.linalg.norm(answers["normals"], axis=0)
    return {**answers, "normals": normals}, truth


def measured(metric: ImageMetric, batch: Sequence[Pair], answer: str | None = None) -> list[float]:
    added = total(metric.sums(answers[answer or metric.answer], truth) for answers, truth in batch)
    return list(metric.figures(added).values())


Reference = Callable[[Sequence[Pair]], list[float]]


@pytest.fixture(params=["semantic", "depth", "normals"])
def defined(request: pytest.FixtureRequest, num_classes: int) -> tuple[ImageMetric, Reference]:
    """A metric and its definition."""
    every: dict[str, tuple[ImageMetric, Reference]] = {
        "semantic": (MTANSemanticMetrics(num_classes), lambda batch: of_classes(batch, num_classes)),
        "depth": (MTANDepthMetrics(), of_depth),
        "normals": (MTANNormalsMetrics(), of_normals),
    }
    return every[request.param]


def test_a_thousand_random_maps_have_the_figures_of_the_repository(
    random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    metric, reference = defined
    for seed in range(1000):
        pair = [unit(random_maps(seed))]
        np.testing.assert_allclose(measured(metric, pair), reference(pair), rtol=0, atol=1e-12)


def test_the_figures_of_a_set_are_means_over_batches_of_one_image(
    random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    metric, reference = defined
    pairs = [unit(random_maps(seed, void=0.1 * (seed % 5))) for seed in range(12)]
    expected = np.mean([reference([pair]) for pair in pairs], 0)
    np.testing.assert_allclose(measured(metric, pairs), expected, rtol=0, atol=1e-12)


def test_batches_of_two_have_the_same_figures_but_the_median_where_images_have_as_many_labels(
    random_maps: Maps, defined: tuple[ImageMetric, Reference]
) -> None:
    metric, reference = defined
    pairs = [unit(random_maps(seed)) for seed in range(20)]
    batches = [pairs[i : i + 2] for i in range(0, len(pairs), 2)]
    found = np.array(measured(metric, pairs))
    expected = np.mean([reference(batch) for batch in batches], 0)
    median_angle = np.arange(len(found)) == (1 if metric.answer == "normals" else -1)
    np.testing.assert_allclose(found[~median_angle], expected[~median_angle], rtol=0, atol=1e-12)
    assert (found[median_angle] != expected[median_angle]).all()


def test_images_of_a_batch_with_more_labels_weigh_more_there_and_not_here(random_maps: Maps) -> None:
    pairs = [random_maps(1, void=0.1), random_maps(2, void=0.8)]
    assert measured(MTANDepthMetrics(), pairs) != pytest.approx(of_depth(pairs), rel=1e-3)


def test_disparity_is_measured_as_depth(random_maps: Maps) -> None:
    pairs = [random_maps(seed) for seed in range(3)]
    assert measured(MTANDisparityMetrics(), pairs, "depth") == measured(MTANDepthMetrics(), pairs)


def test_images_count_alike_and_not_their_pixels() -> None:
    zeros = np.zeros((2, 2), int)
    everywhere = [({"semantic": zeros}, Truth(zeros + c, zeros)) for c in (0, 1)]
    assert measured(MTANSemanticMetrics(2), everywhere) == [0.5, 0.5]
