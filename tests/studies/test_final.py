import json
from pathlib import Path

import pytest

from fusionseg.config.errors import UsageError
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.axes import Variant
from fusionseg.studies.final import final_runs
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, PlannedRun
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
