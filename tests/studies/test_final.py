import json
from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.axes import Variant
from fusionseg.studies.final import chosen_variants, final_runs, record_final
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, PlannedRun, planned
from fusionseg.studies.study_file import Study

STUDY = Study("s", (), (Variant("a", {}), Variant("b", {})), (0, 1))
RUNS = tuple(PlannedRun(v, s, f"{v}{s}", f"{v}/{s}", ()) for s in range(2) for v in "ab")
PLAN = Plan(STUDY, RUNS, {}, {}, {}, {}, {})


def trained(folder: Path, name: str) -> RunFolder:
    run = RunFolder(folder / name)
    run.last.parent.mkdir(parents=True)
    run.last.touch()
    return run


def test_the_runs_are_those_of_the_chosen_variants(tmp_path: Path) -> None:
    for run in RUNS:
        trained(tmp_path, run.folder)
    assert [run.folder for run in final_runs(PLAN, StudyFolder(tmp_path), ["b"])] == ["b/0", "b/1"]


def test_a_checkpoint_that_is_gone_is_reported_before_anything_is_measured(tmp_path: Path) -> None:
    trained(tmp_path, "a/0")
    with pytest.raises(
        UsageError, match=r"final: expected the checkpoints of the runs, found none in a/1: run"
    ):
        final_runs(PLAN, StudyFolder(tmp_path), ["a"])


def test_a_run_that_was_measured_needs_its_checkpoint_no_more(tmp_path: Path) -> None:
    trained(tmp_path, "a/0")
    measured = trained(tmp_path, "a/1")
    measured.last.unlink()
    measured.evaluation.mkdir()
    measured.evaluated("test").write_text(json.dumps({"metrics": {"score": 0.5}, "checkpoint": "last"}))
    assert len(final_runs(PLAN, StudyFolder(tmp_path), ["a"])) == 2


def test_a_variant_of_which_a_run_failed_is_left_out_alone(tmp_path: Path) -> None:
    for run in RUNS:
        trained(tmp_path, run.folder)
    said: list[str] = []
    folder = StudyFolder(tmp_path)
    assert {run.variant for run in final_runs(PLAN, folder, ["b"], ["a/0"], said.append)} == {"b"}
    assert said == []
    found = final_runs(PLAN, folder, ["a", "b"], ["a/0"], said.append)
    assert [run.folder for run in found] == ["b/0", "b/1"]
    assert said == ["a is not measured on the test split, as its run a/0 failed"]


def test_what_others_measured_before_is_not_recorded(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.declare({"name": "s", "final": ["c"]})
    measured = trained(tmp_path, "a/1")
    measured.evaluation.mkdir()
    measured.evaluated("test").write_text(json.dumps({"metrics": {"score": 0.5}, "checkpoint": "last"}))
    record_final(folder, STUDY, RUNS)
    assert folder.declared()["final"] == ["b", "c"]


def test_names_with_commas_can_be_chosen_together(tmp_path: Path) -> None:
    names = ["ratio=1,scale=2", "ratio=1", "single"]
    study = Study("s", (), tuple(Variant(name, {"model.beta": i}) for i, name in enumerate(names)), (0,))
    found = {name: {"config": f"beta: {i}", "parameters": 1, "steps": 1} for i, name in enumerate(names)}
    folder = StudyFolder(tmp_path)
    plan = planned(study, found, {}, folder)
    assert chosen_variants(plan, folder, "single,ratio=1,scale=2,ratio=1") == [
        "single",
        "ratio=1,scale=2",
        "ratio=1",
    ]
    assert chosen_variants(plan, folder, None) == []
    with pytest.raises(UsageError, match="found 'scale=2'"):
        chosen_variants(plan, folder, "ratio=1,single,scale=2")
