import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats

from fusionseg.studies.statistics import (
    ImageResampling,
    bootstrap_interval,
    paired_bootstrap,
    resampled_figures,
)
from fusionseg.studies.statistics.resampling import Floats

GROUPS = [number // 5 for number in range(60)]


def iou(sums: Floats) -> float:
    """Intersection over union of added sums."""
    return float(sums[0] / sums[1])


def mean_iou(sums: Floats) -> float:
    """Mean IoU of a confusion matrix of three classes."""
    table = sums.reshape(3, 3)
    hit = table.diagonal()
    return float(np.mean(hit / (table.sum(0) + table.sum(1) - hit)))


def confusions(seed: int, images: int = 60, quality: int = 40) -> Floats:
    """Confusion matrices of images (N, 9)."""
    rates = 5 + quality * np.eye(3)
    return np.random.default_rng(seed).poisson(rates, (images, 3, 3)).reshape(images, 9) * 1.0


def ratios(random: np.random.Generator, images: int) -> tuple[Floats, Floats]:
    """Two variants of equal quality on images of very different sizes: intersections and unions (N, 2)."""
    union = random.lognormal(0, 0.7, images)
    common = random.beta(4, 2, images)
    a, b = (0.5 * common + 0.5 * random.beta(4, 2, images) for _ in range(2))
    return np.stack([a * union, union], 1), np.stack([b * union, union], 1)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_the_bootstrap_is_a_loop_that_repeats_images(groups: list[int] | None) -> None:
    a, b = confusions(0), confusions(1, quality=35)
    found = paired_bootstrap(a, b, mean_iou, groups, resamples=200, seed=7)
    random = np.random.default_rng(7)
    units = 60 if groups is None else 12
    differences = []
    for _ in range(200):
        drawn = random.integers(units, size=units)
        images = drawn if groups is None else np.concatenate([5 * g + np.arange(5) for g in drawn])
        differences.append(mean_iou(a[images].sum(0)) - mean_iou(b[images].sum(0)))
    tail = stats.norm.cdf(-math.sqrt(units / (units - 1)) * stats.t.ppf(0.975, units - 1))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, [tail, 1 - tail])))
    assert found.difference == pytest.approx(mean_iou(a.sum(0)) - mean_iou(b.sum(0)))
    assert (found.groups, found.note) == (units, "")


def test_sparse_and_dense_sums_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = confusions(0), confusions(1)
    a[a < 8] = 0
    expected = paired_bootstrap(a, b, mean_iou, resamples=300)
    for kind in (sparse.csr_array, sparse.csr_matrix):
        assert paired_bootstrap(kind(a), kind(b), mean_iou, resamples=300) == expected
    monkeypatch.setattr("fusionseg.studies.statistics.bootstrap.CHUNK", 500)
    assert paired_bootstrap(a, b, mean_iou, resamples=300) == expected


def test_runs_are_averaged_within_a_resample() -> None:
    runs = [confusions(0), confusions(1), confusions(2)]
    resampling = ImageResampling(60, resamples=100)
    single = [resampled_figures(run, mean_iou, resampling) for run in runs]
    found = resampled_figures(runs, mean_iou, resampling)
    np.testing.assert_allclose(found, np.mean(single, axis=0), rtol=1e-12)
    interval = paired_bootstrap(runs, confusions(3), mean_iou, resamples=100)
    expected = bootstrap_interval(
        found - resampled_figures(confusions(3), mean_iou, resampling), ImageResampling(60, resamples=100)
    )
    assert interval == expected


def test_several_figures_are_computed_at_once() -> None:
    resampling = ImageResampling(60, resamples=50)
    run = confusions(0)
    both = resampled_figures(run, lambda sums: np.array([mean_iou(sums), sums[0]]), resampling)
    np.testing.assert_array_equal(both[:, 0], resampled_figures(run, mean_iou, resampling))
    assert both.shape == (51, 2)


def test_equal_variants_do_not_differ_on_any_images() -> None:
    found = paired_bootstrap(confusions(0), confusions(0), mean_iou, resamples=100)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_the_interval_of_a_mean_is_students() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0.7, 0.1, (2, 25))
    with_count = [np.stack([values, np.ones(25)], 1) for values in (a, b)]
    found = paired_bootstrap(*with_count, iou, resamples=20_000)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.04 * width)


@pytest.mark.parametrize("images", [12, 40])
def test_intervals_of_a_ratio_cover_the_truth_as_often_as_they_say(images: int) -> None:
    random = np.random.default_rng(images)
    found = [paired_bootstrap(*ratios(random, images), iou, resamples=400) for _ in range(400)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 400)


def sequences(
    random: np.random.Generator, count: int, frames: int, between: float, memory: float
) -> tuple[Floats, Floats]:
    """Two equal variants whose difference varies between sequences and slowly within them (N, 2)."""
    noise = random.normal(size=(count, frames))
    for frame in range(1, frames):
        noise[:, frame] = memory * noise[:, frame - 1] + math.sqrt(1 - memory**2) * noise[:, frame]
    values = (between * random.normal(size=(count, 1)) + noise).ravel()
    size = np.ones_like(values)
    return np.stack([values, size], 1), np.stack([0 * values, size], 1)


COVERAGE_ERROR = 3 * math.sqrt(0.95 * 0.05 / 300)


def coverage(
    count: int,
    frames: int,
    between: float,
    memory: float,
    grouped: bool,
    studies: int = 300,
    resamples: int = 500,
    seed: int = 0,
) -> float:
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), frames).tolist() if grouped else None
    found = [
        paired_bootstrap(*sequences(random, count, frames, between, memory), iou, groups, resamples=resamples)
        for _ in range(studies)
    ]
    return float(np.mean([one.low <= 0 <= one.high for one in found]))


@pytest.mark.slow
def test_groups_cover_where_images_counted_as_independent_do_not() -> None:
    assert abs(coverage(12, 15, between=1.0, memory=0.0, grouped=True) - 0.95) < COVERAGE_ERROR
    assert coverage(12, 15, between=1.0, memory=0.0, grouped=False) < 0.75


@pytest.mark.slow
def test_blocks_cover_within_a_sequence_where_frames_counted_as_independent_do_not() -> None:
    assert abs(coverage(1, 100, between=0.0, memory=0.5, grouped=True) - 0.95) < COVERAGE_ERROR
    assert coverage(1, 100, between=0.0, memory=0.5, grouped=False) < 0.85


@pytest.mark.slow
def test_intervals_cover_as_often_as_the_guide_says() -> None:
    many = partial(coverage, studies=1000, resamples=1000, seed=1)
    assert round(many(12, 15, between=1.0, memory=0.0, grouped=True), 2) == 0.95
    for memory, grouped, independent in ((0.5, 0.94, 0.74), (0.8, 0.91, 0.47)):
        assert round(many(1, 100, 0.0, memory, grouped=True), 2) == grouped
        assert round(many(1, 100, 0.0, memory, grouped=False), 2) == independent
    for images in (12, 100):
        random = np.random.default_rng(3)
        found = [paired_bootstrap(*ratios(random, images), iou, resamples=1000) for _ in range(1000)]
        assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in found]) < 0.955


def test_few_groups_are_headed() -> None:
    a, b = confusions(0), confusions(1)
    found = paired_bootstrap(a, b, mean_iou, groups=[0] * 30 + [1] * 30, resamples=100)
    assert (found.groups, found.note) == (2, "within these sequences only")
    assert found.low < found.difference < found.high


def test_resamples_without_a_figure_are_counted() -> None:
    rare = np.zeros((12, 2))
    rare[0] = 1, 2

    def rarely(sums: Floats) -> float:
        return float(sums[0] / sums[1]) if sums[1] else math.nan

    found = paired_bootstrap(rare, rare / (2, 1), rarely, resamples=1000)
    missing = int(found.note.split()[0])
    # an image is missing from a resample of 12 with the probability (11 / 12) ** 12
    assert abs(missing - 1000 * (11 / 12) ** 12) < 60
    assert found.note == f"{missing} of 1000 resamples have no figure"
    assert (found.low, found.high) == (0.25, 0.25)


def test_one_image_has_no_interval() -> None:
    found = paired_bootstrap(confusions(0, 1), confusions(1, 1), mean_iou)
    assert np.isnan([found.low, found.high]).all()
    assert found.note == "no interval: too few images"


@pytest.mark.parametrize("b", [confusions(1, 59), [confusions(1), confusions(1, 59)]])
def test_sums_of_other_images_are_refused(b: Any) -> None:
    with pytest.raises(
        ValueError, match="sums of the same images in the same order, found those of 59 and 60"
    ):
        paired_bootstrap(confusions(0), b, mean_iou)


def test_no_run_is_refused() -> None:
    with pytest.raises(ValueError, match="the sums of at least one run, found none"):
        paired_bootstrap(confusions(0), [], mean_iou)
