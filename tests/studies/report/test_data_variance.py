"""The interval over images, against the figures of evaluations that were really resampled."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionseg.metrics import (
    LibMTLDepthMetrics,
    MetricSuite,
    MTANSemanticMetrics,
    RegionMetrics,
    SemanticMetrics,
    VandenhendeSemanticMetrics,
)
from fusionseg.runs.image_records import added_sums
from fusionseg.studies.report.data_variance import image_intervals
from fusionseg.studies.report.question import Question, question
from fusionseg.studies.report.suites import suite_of_sums
from fusionseg.studies.results import collect
from fusionseg.studies.statistics import BootstrapInterval, ImageResampling

Writer = Callable[..., Path]


@pytest.fixture
def asked(study: Writer, variant: Any) -> Question:
    return question(collect([study({"a": variant(), "b": variant((0.7, 0.8))}, range(2))]))


def interval(found: BootstrapInterval | str) -> BootstrapInterval:
    assert isinstance(found, BootstrapInterval), found
    return found


@pytest.mark.slow
def test_the_interval_is_that_of_the_figure_of_resampled_images(asked: Question) -> None:
    found = interval(image_intervals(asked, 40)["b", "val/score"])
    suite = MetricSuite([SemanticMetrics(4), RegionMetrics()])
    resampling = ImageResampling(12, None, 40)
    [weights] = resampling.weights()
    differences = []
    for draw in (np.ones(12), *weights):
        images = np.repeat(np.arange(12), draw.astype(int))
        scores = {}
        for name in ("a", "b"):
            sums = [[added_sums(run.sums("val"), [i]) for i in images] for run in asked.finished(name)]
            added = [{key: sum(one[key] for one in run) for key in run[0]} for run in sums]
            scores[name] = np.mean([suite.figures(one)["score"] for one in added])
        differences.append(scores["b"] - scores["a"])
    assert found.difference == pytest.approx(differences[0], rel=1e-9)
    low, high = resampling.quantiles(np.array(differences[1:]))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


def test_the_difference_is_that_of_the_evaluations(asked: Question) -> None:
    means = {name: np.mean(list(asked.results.figures(name, "val/score").values())) for name in "ab"}
    found = interval(image_intervals(asked, 20)["b", "val/score"])
    assert found.difference == pytest.approx(means["b"] - means["a"], abs=1e-9)


def test_panoptic_quality_is_resampled_where_things_are_known(asked: Question) -> None:
    by_quality = question(asked.results, "val/pq")
    means = {name: np.mean(list(asked.results.figures(name, "val/pq").values())) for name in "ab"}
    found = interval(image_intervals(by_quality, 20)["b", "val/pq"])
    assert found.difference == pytest.approx(means["b"] - means["a"], abs=1e-9)


def test_groups_are_resampled_and_few_of_them_are_said(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(2), groups=2)
    found = interval(image_intervals(question(collect([path])), 20)["b", "val/score"])
    assert (found.groups, found.note) == (2, "within these sequences only")


@pytest.mark.slow
def test_many_groups_speak_of_others(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.8))}, range(2), groups=11, images=22)
    found = interval(image_intervals(question(collect([path])), 20)["b", "val/score"])
    assert (found.groups, found.note) == (11, "")


@pytest.mark.slow
def test_sums_that_are_missing_or_of_another_evaluation_give_no_interval(asked: Question) -> None:
    first, second = asked.finished("b")
    kept = shutil.copy(first.sums("val"), first.folder / "kept.npz")
    shutil.copy(asked.finished("a")[0].sums("val"), first.sums("val"))
    assert "with seed 0, the evaluation has" in str(image_intervals(asked, 5)["b", "val/score"])
    shutil.copy(second.sums("val"), first.sums("val"))
    shutil.copy(kept, second.sums("val"))
    assert "with seed 0, the evaluation has" in str(image_intervals(asked, 5)["b", "val/score"])
    shutil.copy(kept, first.sums("val"))
    assert re.search(
        r"the sums of 12 images give val/score \S+ with seed 1, the evaluation has",
        str(image_intervals(asked, 5)["b", "val/score"]),
    )
    second.sums("val").unlink()
    assert image_intervals(asked, 5)["b", "val/score"] == "the sums of images are missing (val.npz of seed 1)"
    second.sums("val").write_bytes(b"PK")
    assert image_intervals(asked, 5)["b", "val/score"] == "the sums of images are damaged (val.npz of seed 1)"


def test_figures_that_papers_define_are_resampled_too() -> None:
    kinds = {
        "semantic": SemanticMetrics(4),
        "miou_mtan": MTANSemanticMetrics(4),
        "miou_vandenhende": VandenhendeSemanticMetrics(4),
        "depth_rel_error_libmtl": LibMTLDepthMetrics(),
    }
    shapes = {name: tuple(getattr(kind, name).shape) for kind in kinds.values() for name in kind.names}
    found = suite_of_sums(shapes)
    assert {type(metric) for metric in found} == {type(metric) for metric in kinds.values()}
    assert all(getattr(metric, "num_classes", 4) == 4 for metric in found)
    assert {"miou_mtan", "miou_vandenhende", "depth_rel_error_libmtl"} <= set(found.names)
    assert {type(metric) for metric in suite_of_sums({"panoptic": (4, 7)})} == set()
