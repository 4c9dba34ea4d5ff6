"""What the report says of a search, against the trials."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fusionseg.pages.blocks import Table, Words
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.report.analysis import Analysis, analysis
from fusionseg.studies.report.question import question
from fusionseg.studies.report.sections import search as sections_search
from fusionseg.studies.results import collect

SPACE = {
    "model.beta": {"low": 0.1, "high": 4, "log": True, "step": None},
    "model.head": ["Boundary", "Center"],
}
SCORE = [{"metric": "val/score", "direction": "maximize"}]
Writer = Callable[..., Path]


def searched(write: Writer, trials: Mapping[str, Any], objectives: Any = SCORE, **more: Any) -> Analysis:
    """The numbers of a study folder with these trials."""
    sampler = {"class_path": "TPESampler", "init_args": {}}
    search = {"space": SPACE, "sampler": sampler, "pruner": None, "objectives": objectives}
    metric = objectives[0]["metric"]
    folder = StudyFolder(write(trials, [0], search=search, metric=metric, reference=None, **more))
    declared = folder.declared()
    for variant in declared["variants"]:
        if variant["name"].startswith("trial"):
            variant["trial"] = int(variant["name"][-3:])
    declared["variants"].append({"name": "trial_099", "trial": 99, "settings": {}, "error": "cannot be"})
    folder.declare(declared)
    return analysis(question(collect([folder.path])), resamples=60)


def trial(variant: Any, skill: float, **more: Any) -> Any:
    point = {"model.beta": round(skill, 3), "model.head": "Center" if skill > 0.7 else "Boundary"}
    return variant((skill, skill), settings=point, point=point, **more)


def blocks(numbers: Analysis) -> tuple[list[str], dict[str, Table]]:
    """The words and the tables of the section."""
    section = sections_search.section(numbers)
    assert section
    words = [line for block in section.blocks if isinstance(block, Words) for line in block.paragraphs]
    return words, {block.name: block for block in section.blocks if isinstance(block, Table)}


def test_the_best_trials_stand_first_and_are_said_to_be_optimistic(study: Writer, variant: Any) -> None:
    trials = {
        "trial_000": trial(variant, 0.5, status={0: "failed"}),
        "trial_001": trial(variant, 0.6),
        "trial_002": trial(variant, 0.9),
        "trial_003": trial(variant, 0.95, status={0: "pruned"}),
        "trial_004": trial(variant, 0.8),
        "plain": variant((0.7, 0.7)),
    }
    numbers = searched(study, trials)
    assert numbers.asked.reference == "trial_001"
    words, tables = blocks(numbers)
    assert words[0].startswith(
        "6 trials of 2 parameters, drawn by TPESampler: 3 complete, 1 pruned, 1 that could"
    )
    assert words[0].endswith("1 that could not be built and 1 failed or not ended.")
    assert "trial_002 are optimistic: the best of 5 trials by val score" in words[1]
    assert words[2] == "trial_099 could not be built: cannot be"
    assert [row[0].text for row in tables["trials"].rows] == ["trial_002", "trial_004", "trial_001"]
    assert [cell.text for cell in tables["trials"].rows[0][2:]] == ["0.9", "Center"]
    assert tables["trials"].records[0]["model.beta"] == 0.9
    assert "importances" not in tables


def test_a_search_whose_first_trial_was_pruned_has_another_reference(study: Writer, variant: Any) -> None:
    sampler = {"class_path": "TPESampler", "init_args": {}}
    search = {"space": SPACE, "sampler": sampler, "pruner": None, "objectives": SCORE}
    trials = {
        "trial_000": trial(variant, 0.5, status={1: "pruned"}),
        "trial_001": trial(variant, 0.6, status={0: "failed", 1: "failed"}),
        "trial_002": trial(variant, 0.7, status={1: "running"}),
    }
    path = study(trials, range(2), search=search, reference=None, images=2)
    assert question(collect([path])).reference == "trial_002"


def test_of_two_objectives_the_trials_that_no_other_dominates_stand_first(
    study: Writer, variant: Any
) -> None:
    skills = {"trial_000": (0.6, 0.6), "trial_001": (0.9, 0.7), "trial_002": (0.7, 0.9)}
    trials = {
        name: variant(skill, point={"model.beta": 1.0, "model.head": "Center"})
        for name, skill in skills.items()
    }
    objectives = [
        {"metric": "val/miou", "direction": "maximize"},
        {"metric": "val/voi", "direction": "minimize"},
    ]
    words, tables = blocks(searched(study, trials, objectives))
    assert "trial_001 and trial_002 are optimistic" in words[1]
    assert [(row[0].text, row[3].text) for row in tables["trials"].rows] == [
        *(("trial_001", "yes"), ("trial_002", "yes"), ("trial_000", "no"))
    ]


@pytest.mark.slow
def test_importances_are_shown_of_ten_trials_on(
    study: Writer, variant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = {f"trial_{i:03d}": trial(variant, 0.5 + i / 25) for i in range(11)}
    numbers = searched(study, trials, images=3)
    _, tables = blocks(numbers)
    shares = [float(str(record["importance"])) for record in tables["importances"].records]
    assert len(tables["trials"].rows) == 10
    assert len(tables["trials"].records) == 11
    assert sum(shares) == pytest.approx(1)
    assert "the best 45 % of 11 complete trials" in tables["importances"].notes[0]
    monkeypatch.setitem(sys.modules, "optuna", None)
    words, tables = blocks(numbers)
    assert "importances" not in tables
    assert words[-1].startswith("The importance of the parameters needs optuna: pip install")


def test_a_study_without_a_search_has_no_such_section(study: Writer, variant: Any) -> None:
    path = study({"a": variant(), "b": variant((0.7, 0.7))}, [0])
    assert sections_search.section(analysis(question(collect([path])), resamples=60)) is None
