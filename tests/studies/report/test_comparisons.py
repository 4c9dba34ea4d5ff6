"""Comparisons against scipy, and against what the study was made to show."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from fusionseg.studies.report.analysis import Analysis, analysis
from fusionseg.studies.report.comparisons import comparisons
from fusionseg.studies.report.question import question
from fusionseg.studies.results import collect

CENTER = 'center <b>&"x"'


@pytest.fixture(scope="module")
def numbers(heads: Path) -> Analysis:
    return analysis(question(collect([heads])), resamples=200)


@pytest.mark.slow
def test_the_t_test_is_scipys_and_holm_multiplies_the_smallest_by_all(numbers: Analysis) -> None:
    figures = numbers.asked.results.figures
    reference = figures("boundary", "val/score")
    expected = {
        name: stats.ttest_rel(
            [figures(name, "val/score")[s] for s in range(7)], [reference[s] for s in range(7)]
        ).pvalue
        for name in (CENTER, "affinity")
    }
    smallest = min(expected, key=lambda name: float(expected[name]))
    found = {one.variant: one for one in numbers.comparisons}
    for name, p in expected.items():
        assert found[name].test.t_p == pytest.approx(p, rel=1e-9)
    assert found[smallest].t_adjusted == pytest.approx(3 * expected[smallest], rel=1e-9)


def test_what_was_made_better_and_worse_is_found_and_the_verdict_follows_the_direction(
    numbers: Analysis,
) -> None:
    found = {one.variant: one.verdict for one in numbers.comparisons}
    assert found == {CENTER: "better", "deep_wide": "withheld", "affinity": "worse"}


def test_a_missing_seed_withholds_tests_and_intervals_but_counts_in_the_family(numbers: Analysis) -> None:
    [one] = [one for one in numbers.comparisons if one.variant == "deep_wide"]
    assert (one.family, one.t_adjusted, one.flips_adjusted) == (3, None, None)
    assert one.test.withheld == "no test: seed 3 missing"
    assert one.images == "seed 3 missing"
    mean = numbers.mean("deep_wide", "val/score")
    assert mean.count == 6
    assert math.isnan(mean.low)


def test_less_of_an_error_is_better(heads: Path) -> None:
    asked = question(collect([heads]), "val/voi")
    found = {one.variant: one for one in comparisons(asked, {(name, "val/voi"): "" for name in asked.others})}
    assert found[CENTER].test.difference < 0
    assert found[CENTER].verdict == "better"


def test_variants_are_compared_by_the_tasks_that_they_train(joint_vs_single: Path) -> None:
    asked = question(collect([joint_vs_single]))
    pairs = {(name, metric): "" for name in asked.others for metric in asked.metrics}
    found = comparisons(asked, pairs)
    assert [(one.variant, one.metric) for one in found] == [
        ("semantic", "val/miou"),
        ("region", "val/covering"),
    ]
    assert {one.family for one in found} == {2}


@pytest.mark.parametrize(
    ("seeds", "variants", "attainable"), [(5, 1, False), (6, 1, True), (6, 2, False), (7, 2, True)]
)
def test_sign_flips_are_said_to_be_beyond_reach(
    seeds: int, variants: int, attainable: bool, study: Callable[..., Path], variant: Any
) -> None:
    others = {f"v{i}": variant((0.7, 0.7 + i / 100)) for i in range(variants)}
    asked = question(collect([study({"a": variant(), **others}, range(seeds), images=2)]))
    found = comparisons(asked, {(name, "val/score"): "" for name in asked.others})
    assert {one.flips_attainable for one in found} == {attainable}


def test_one_seed_has_no_test_and_no_spread(study: Callable[..., Path], variant: Any) -> None:
    asked = question(collect([study({"a": variant(), "b": variant((0.7, 0.7))}, [0], images=3)]))
    [one] = analysis(asked, 50).comparisons
    assert (one.verdict, one.test.withheld) == ("withheld", "no test: 1 seed, of at least 2")
    assert math.isnan(one.detectable)
