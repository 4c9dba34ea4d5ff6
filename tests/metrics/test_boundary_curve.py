from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from fusionseg.metrics.boundary_curve import (
    average_precision,
    best_point,
    boundary_counts,
    boundary_curve_figures,
    curve,
    even_thresholds,
    levels,
    own_best,
)
from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.thinning import Masks

DIAGONAL = float(np.hypot(321, 481))


def drawn(file: Path) -> list[Masks]:
    """The boundaries of each annotator."""
    return [person["Boundaries"][0, 0] > 0 for person in loadmat(file)["groundTruth"][0]]


def printed(value: float) -> float:
    return float(f"{value:g}")


@pytest.mark.parametrize("folder", ["ucm2/test_eval", "bench/data/test_3"])
def test_the_official_aggregate_follows_from_the_official_curve_to_all_digits(
    folder: str, data: Path
) -> None:
    thresholds, recall, precision, _ = np.loadtxt(data / "BSDS500" / folder / "eval_bdry_thr.txt").T
    official = np.loadtxt(data / "BSDS500" / folder / "eval_bdry.txt")
    best = best_point(thresholds, precision, recall)
    assert [printed(best[key]) for key in ("threshold", "recall", "precision", "f")] == official[:4].tolist()
    assert printed(average_precision(precision, recall)) == official[7]


def test_boundaries_of_partitions_are_scored_as_by_berkeley(data: Path) -> None:
    bench = data / "BSDS500" / "bench" / "data"
    each = []
    for file in sorted((bench / "groundTruth").glob("*.mat")):
        maps = [
            boundaries(ids, np.ones(ids.shape, bool))
            for ids in loadmat(bench / "segs" / file.name)["segs"][0]
        ]
        each.append(boundary_counts(maps, drawn(file), 0.0075 * DIAGONAL))
    assert len(each) == 5
    thresholds = np.arange(1.0, 6)
    figures = boundary_curve_figures(
        np.sum(each, 0), np.sum([own_best(counts) for counts in each], 0), thresholds
    )
    official = np.loadtxt(bench / "test_3" / "eval_bdry.txt")
    assert figures["ods_threshold"] == official[0]
    # the official code breaks ties at random
    assert [figures[key] for key in ("ods", "ois", "ap")] == pytest.approx(official[[3, 6, 7]], abs=0.003)
    images = np.loadtxt(bench / "test_3" / "eval_bdry_img.txt")
    for counts, official in zip(each, images, strict=True):
        precision, recall, _ = curve(counts)
        assert best_point(thresholds, precision, recall)["f"] == pytest.approx(official[4], abs=0.003)


@pytest.mark.slow
def test_contour_maps_of_gpb_have_their_official_f_measures(data: Path) -> None:
    folder = data / "BSDS500" / "ucm2"
    names = (folder / "test_names.txt").read_text().split()
    official = np.loadtxt(folder / "test_eval" / "eval_bdry_img.txt")
    thresholds = even_thresholds(99)
    differences = []
    for file in sorted((folder / "test").glob("*.mat")):
        strength = loadmat(file)["ucm2"][2::2, 2::2]
        truth = data / "BSDS500" / "data" / "groundTruth" / "test" / file.name
        counts = boundary_counts(levels(strength, thresholds), drawn(truth), 0.0075 * DIAGONAL)
        precision, recall, _ = curve(counts)
        best = best_point(thresholds, precision, recall)
        differences.append(best["f"] - official[names.index(file.stem), 4])
    assert len(differences) == 20
    assert abs(np.mean(differences)) <= 0.0005
    assert np.abs(differences).max() <= 0.003


def slow_best(thresholds: Any, precision: Any, recall: Any) -> float:
    """The largest F-measure on the polyline of the curve, point by point."""
    best = 0.0
    for i in range(len(thresholds)):
        for share in np.linspace(0, 1, 100):
            j = max(i - 1, 0)
            p = precision[i] * share + precision[j] * (1 - share)
            r = recall[i] * share + recall[j] * (1 - share)
            best = max(best, 2 * p * r / (p + r) if p + r else 0.0)
    return best


def test_the_best_point_lies_between_thresholds_too() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        recall = np.sort(random.random(7))[::-1]
        precision = random.random(7)
        found = best_point(even_thresholds(7), precision, recall)
        assert found["f"] == pytest.approx(slow_best(even_thresholds(7), precision, recall), rel=1e-12)


def test_average_precision_of_a_straight_line_is_its_mean_height() -> None:
    assert average_precision(np.array([0.2, 1.0]), np.array([1.0, 0.0])) == pytest.approx(1.01 * 0.6)
    assert average_precision(np.array([0.5, 0.5]), np.array([0.4, 0.4])) == 0


def test_figures_of_images_are_those_of_added_counts() -> None:
    random = np.random.default_rng(0)
    truth = random.random((2, 20, 30)) < 0.1
    soft = random.random((2, 20, 30))
    thresholds = even_thresholds(9)
    each: list[Counts] = [boundary_counts(levels(map_, thresholds), truth, 2.0) for map_ in soft]
    own = [curve(counts)[2].max() for counts in each]
    figures = boundary_curve_figures(each[0], own_best(each[0]), thresholds)
    assert figures["ois"] == pytest.approx(own[0])
    assert figures["ods"] >= figures["ois"]  # interpolated
    joint = boundary_curve_figures(each[0] + each[1], own_best(each[0]) + own_best(each[1]), thresholds)
    assert min(own) <= joint["ois"] <= max(own)


def test_equal_maps_are_matched_once_and_counted_for_each_threshold() -> None:
    edges = np.zeros((10, 12), bool)
    edges[:, 5] = True
    counts = boundary_counts([edges, edges, ~edges & False], [edges], 1.0, thin=False)
    assert counts.tolist() == [[10, 10, 10, 10], [10, 10, 10, 10], [0, 10, 0, 0]]


def test_large_images_are_matched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    maps = [*levels(random.random((20, 30)), even_thresholds(9))]
    truth = random.random((2, 20, 30)) < 0.1
    whole = boundary_counts(maps, truth, 2.0)
    monkeypatch.setattr("fusionseg.metrics.boundary_curve.PIXELS", 1500)
    assert np.array_equal(boundary_counts(maps, truth, 2.0), whole)


def test_without_a_true_boundary_nothing_is_defined() -> None:
    empty = np.zeros((5, 5), bool)
    counts = boundary_counts([~empty], [empty], 1.0)
    figures = boundary_curve_figures(counts, own_best(counts), np.array([0.5]))
    assert np.isnan([*figures.values()]).all()


def test_a_prediction_of_nothing_scores_zero() -> None:
    empty = np.zeros((5, 5), bool)
    counts = boundary_counts([empty, empty], [~empty], 1.0)
    figures = boundary_curve_figures(counts, own_best(counts), even_thresholds(2))
    assert [figures[key] for key in ("ods", "ois", "ap")] == [0, 0, 0]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one annotator"):
        boundary_counts([np.zeros((5, 5), bool)], [], 1.0)
    with pytest.raises(ValueError, match="one size"):
        boundary_counts([np.zeros((5, 5), bool)], [np.zeros((5, 6), bool)], 1.0)


def test_maps_may_be_any_iterable_but_none_of_none() -> None:
    line = np.eye(4, dtype=bool)
    expected = boundary_counts([line], [line, line], 1.0).tolist()
    assert boundary_counts(iter([line]), (person for person in (line, line)), 1.0).tolist() == expected
    for predicted, true, message in (([line], [], "one annotator"), ([], [line], "one for each threshold")):
        with pytest.raises(ValueError, match=message):
            boundary_counts(predicted, iter(true), 1.0)
