from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.report.question import notices, question
from fusionseg.studies.results import collect

Writer = Callable[..., Path]


def test_the_study_decides_the_metric_and_the_reference(heads: Path) -> None:
    asked = question(collect([heads]))
    assert (asked.metrics, asked.reference, asked.seeds) == (("val/score",), "boundary", tuple(range(7)))
    assert asked.others == ('center <b>&"x"', "deep_wide", "affinity")
    assert asked.missing("deep_wide") == [3]
    assert not asked.missing("affinity")


def test_arguments_take_the_place_of_what_the_study_says(heads: Path) -> None:
    asked = question(collect([heads]), "miou, val/pq", "affinity")
    assert (asked.metrics, asked.reference) == (("val/miou", "val/pq"), "affinity")


def test_an_unknown_metric_or_variant_names_the_nearest(heads: Path) -> None:
    with pytest.raises(UsageError, match=r"metric: no run has a figure 'val/mio'; did you mean val/miou\?"):
        question(collect([heads]), "mio")
    with pytest.raises(UsageError, match=r"reference: no variant 'afinity'; did you mean affinity\?"):
        question(collect([heads]), reference="afinity")


def test_scores_of_different_tasks_give_way_to_the_tasks_figures(joint_vs_single: Path) -> None:
    asked = question(collect([joint_vs_single]))
    assert asked.split_score
    assert asked.metrics == ("val/miou", "val/covering")
    assert asked.counts("semantic", "val/miou")
    assert not asked.counts("semantic", "val/covering")
    assert question(collect([joint_vs_single]), "val/score").metrics == ("val/score",)


def test_a_study_without_a_finished_run_says_how_its_runs_are(study: Writer, variant: Any) -> None:
    path = study({"a": variant(status={0: "failed", 1: "missing"})}, range(2))
    with pytest.raises(
        UsageError, match=r"heads: expected a finished and evaluated run, found 2 runs \(failed and"
    ):
        question(collect([path]))


def test_pruned_variants_take_no_part(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.7)), "c": variant(status={1: "pruned"})}, range(2))
    asked = question(collect([path]))
    assert (asked.variants, asked.pruned) == (("a", "b"), ("c",))
    with pytest.raises(UsageError, match="no variant 'c'"):
        question(collect([path]), reference="c")


def test_a_single_seed_is_one_line(study: Writer, variant: Any) -> None:
    asked = question(collect([study({"a": variant(), "b": variant((0.7, 0.7))}, [4])]))
    assert notices(asked) == ["one seed (4): no spread over trainings and no test; add seeds"]


def test_a_baseline_that_failed_is_one_line(study: Writer, variant: Any) -> None:
    variants = {"joint": variant(), "semantic": variant((0.7, 0.7), status={1: "failed"})}
    asked = question(
        collect([study(variants, range(3), baselines={"semantic": "semantic", "region": "regoin"})])
    )
    assert notices(asked) == [
        "the semantic baseline 'semantic' failed with 1 seed (1): its tests and Delta-m are withheld",
        "the region baseline 'regoin' has no run; expected one of joint, semantic",
    ]
