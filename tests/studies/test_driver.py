"""The driver against a launcher that writes what a run writes, at once."""

import json
import os
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import pytest

from fusionseg.runs.folder import RunFolder
from fusionseg.studies.axes import Variant
from fusionseg.studies.driver import Driver
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.launcher import Job, Launcher
from fusionseg.studies.plan import PlannedRun
from fusionseg.studies.progress import Progress
from fusionseg.studies.slots import Slot
from fusionseg.studies.sources import FixedRuns
from fusionseg.studies.study_file import Study

STUDY = Study("s", (), (Variant("a", {}), Variant("b", {"model.beta": 2.0})), (0, 1, 2))
RUNS = [PlannedRun(v, s, f"{v}{s}", f"{v}/{s}", (f"--seed_everything={s}",)) for s in range(3) for v in "ab"]


class Killed(BaseException):
    """The driver dies here, wherever that is."""


class FakeLauncher(Launcher):
    """Finishes jobs in the order of a random generator; some end as `fails` says, without a result."""

    def __init__(
        self, fails: Callable[[Job], int] = lambda _: 0, dies_after: int = 10**9, seed: int = 0
    ) -> None:
        self.jobs: list[Job] = []
        self.started: list[Job] = []
        self.fails = fails
        self.left = dies_after
        self.random = random.Random(seed)
        self.most = 0

    def start(self, job: Job) -> None:
        self._live()
        self.jobs.append(job)
        self.started.append(job)
        self.most = max(self.most, len(self.jobs))

    def ended(self, seconds: float) -> dict[str, int]:
        self._live()
        job = self.jobs.pop(self.random.randrange(len(self.jobs)))
        code = self.fails(job)
        if code == 0:
            self._write(job)
        else:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            job.log.write_text(f"error: {job.name} broke\n")
        return {job.name: code}

    def stop(self, name: str) -> None:
        self.jobs = [job for job in self.jobs if job.name != name]

    def close(self) -> None:
        self.jobs.clear()

    def _live(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def _write(self, job: Job) -> None:
        words = list(job.arguments)
        flag = {"fit": "--resume" if "--resume" in words else "--out", "evaluate": "--run"}[job.command]
        run = RunFolder(words[words.index(flag) + 1])
        run.path.mkdir(parents=True, exist_ok=True)
        if job.command == "fit":
            run.summary.write_text(json.dumps({"status": "finished"}))
            return
        split = words[words.index("--split") + 1]
        checkpoint = words[words.index("--checkpoint") + 1]
        content = {
            "metrics": {"score": len(run.path.parent.name) / 10},
            "per_class": {},
            "checkpoint": checkpoint,
        }
        file = run.evaluated(split, checkpoint)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))


def driven(
    folder: Path,
    launcher: FakeLauncher,
    slots: int = 2,
    study: Study = STUDY,
    runs: Sequence[PlannedRun] = RUNS,
    show: Callable[[Progress], None] = lambda _: None,
    split: str = "val",
) -> Progress:
    place = StudyFolder(folder)
    with place.held():
        return Driver(study, FixedRuns(runs), place, launcher, [Slot()] * slots, show, split).run()


def test_every_run_is_trained_and_evaluated_once(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    progress = driven(tmp_path, launcher)
    assert progress.finished == 6
    assert sorted((job.name, job.command) for job in launcher.started) == sorted(
        (run.folder, command) for run in RUNS for command in ("fit", "evaluate")
    )
    assert launcher.most == 2


def test_finished_runs_are_not_started_again(tmp_path: Path) -> None:
    driven(tmp_path, FakeLauncher())
    again = FakeLauncher()
    assert driven(tmp_path, again).finished == 6
    assert not again.started


def test_the_time_left_is_known_from_runs_of_earlier_drivers(tmp_path: Path) -> None:
    earlier = driven(tmp_path, FakeLauncher(), runs=RUNS[:2]).durations
    found: list[Progress] = []
    driven(tmp_path, FakeLauncher(), show=lambda progress: found.append(deepcopy(progress)))
    assert sorted(found[0].durations) == sorted(earlier)
    assert found[0].seconds_left(1) is not None


@pytest.mark.parametrize("seed", range(20))
def test_a_driver_killed_anywhere_loses_and_repeats_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    started: list[tuple[str, str]] = []
    finished: set[tuple[str, str]] = set()
    for _ in range(100):
        launcher = FakeLauncher(dies_after=chance.randrange(1, 12), seed=seed)
        try:
            driven(tmp_path, launcher)
        except Killed:
            continue
        finally:
            repeated = {(job.name, job.command) for job in launcher.started} & finished
            assert not repeated
            for run in RUNS:
                where = RunFolder(tmp_path / run.folder)
                finished |= {(run.folder, "fit")} if where.summary.is_file() else set()
                finished |= {(run.folder, "evaluate")} if where.evaluated("val", "last").is_file() else set()
            started += [(job.name, job.command) for job in launcher.started]
        break
    assert len(finished) == 12


@pytest.mark.parametrize("record", [None, {"status": "running", "attempts": 1}])
def test_a_finished_run_is_recorded_where_the_last_driver_died_before_that(
    record: dict | None, tmp_path: Path
) -> None:
    driven(tmp_path, FakeLauncher())
    folder = StudyFolder(tmp_path)
    if record:
        folder.write_record("b2", record)
    else:
        (folder.records / "b2.json").unlink()
    driven(tmp_path, FakeLauncher())
    assert folder.record("b2")["status"] == "finished"


def test_a_failed_run_is_tried_again_and_then_reported_while_the_others_go_on(tmp_path: Path) -> None:
    launcher = FakeLauncher(fails=lambda job: 1 if job.name == "a/1" else 0)
    progress = driven(tmp_path, launcher)
    assert progress.finished == 5
    assert progress.failed == ["a/1"]
    assert [job.name for job in launcher.started].count("a/1") == 2
    record = StudyFolder(tmp_path).record("a1")
    assert record["status"] == "failed"
    assert "a/1 broke" in record["reason"]


def test_a_test_evaluation_that_fails_leaves_the_records_of_the_runs(tmp_path: Path) -> None:
    driven(tmp_path, FakeLauncher())
    before = [StudyFolder(tmp_path).record(run.key) for run in RUNS]
    final = driven(tmp_path, FakeLauncher(fails=lambda _: 1), split="test")
    assert len(final.failed) == 6
    assert [StudyFolder(tmp_path).record(run.key) for run in RUNS] == before
    assert {record["status"] for record in before} == {"finished"}
    assert driven(tmp_path, FakeLauncher(), split="test").finished == 6


def test_a_run_that_had_begun_is_resumed(tmp_path: Path) -> None:
    begun = RunFolder(tmp_path / "a" / "0").config
    begun.parent.mkdir(parents=True)
    begun.touch()
    launcher = FakeLauncher()
    driven(tmp_path, launcher)
    fits = {job.name: list(job.arguments) for job in launcher.started if job.command == "fit"}
    assert fits["a/0"] == ["--resume", str(tmp_path / "a" / "0")]
    assert "--out" in fits["b/0"]


@pytest.mark.parametrize("damage", ["", "{", '{"metrics": 3, "checkpoint": "last"}', '{"metrics": {}}', "[]"])
def test_a_damaged_result_is_measured_again(damage: str, tmp_path: Path) -> None:
    driven(tmp_path, FakeLauncher())
    RunFolder(tmp_path / "b" / "2").evaluated("val", "last").write_text(damage)
    StudyFolder(tmp_path).records.joinpath("b2.json").write_text(damage)
    again = FakeLauncher()
    assert driven(tmp_path, again).finished == 6
    assert [(job.name, job.command) for job in again.started] == [("b/2", "evaluate")]


def test_figures_of_another_epoch_do_not_count(tmp_path: Path) -> None:
    driven(tmp_path, FakeLauncher())
    other = Study("s", (), STUDY.variants, STUDY.seeds, epoch="best")
    again = FakeLauncher()
    driven(tmp_path, again, study=other)
    assert {job.command for job in again.started} == {"evaluate"}
    assert len(again.started) == 6
    for study in (STUDY, other):  # neither took the place of the other
        launcher = FakeLauncher()
        assert driven(tmp_path, launcher, study=study).finished == 6
        assert not launcher.started


def test_a_run_that_another_process_trains_waits(tmp_path: Path) -> None:
    held = RunFolder(tmp_path / "a" / "0")
    held.claim()
    launcher = FakeLauncher()

    class Releasing(FakeLauncher):
        def ended(self, seconds: float) -> dict[str, int]:
            if len(self.started) == 8:
                held.release()
            return super().ended(seconds) if self.jobs else {}

    launcher = Releasing()
    waits: list[dict[str, str]] = []
    progress = driven(tmp_path, launcher, show=lambda progress: waits.append(dict(progress.waiting)))
    assert progress.finished == 6
    assert {"a/0": f"process {os.getpid()}"} in waits
    assert waits[-1] == {}
    assert launcher.started[-2].name == "a/0"


def test_a_second_driver_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    with (
        folder.held(),
        pytest.raises(ValueError, match=r"is held by process \d+ on"),
        StudyFolder(tmp_path).held(),
    ):
        pass


def test_a_full_disk_costs_the_record_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StudyFolder, "write_record", full)
    assert driven(tmp_path, FakeLauncher()).finished == 6


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: random.uniform(0, 1e10))
    progress = driven(tmp_path, FakeLauncher())
    assert all(0 <= seconds < 60 for seconds in progress.durations)


def test_packages_of_one_s_own_are_trusted_where_a_run_is_resumed_or_evaluated(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    place = StudyFolder(tmp_path)
    begun = RunFolder(tmp_path / RUNS[0].folder)
    begun.path.mkdir(parents=True)
    begun.config.write_text("{}")
    with place.held():
        source = FixedRuns(RUNS[:1])
        Driver(STUDY, source, place, launcher, [Slot()], lambda _: None, trust=["mine", "yours"]).run()
    resumed, evaluated = launcher.started
    assert list(resumed.arguments)[-2:] == list(evaluated.arguments)[-2:] == ["--trust", "mine,yours"]


def test_runs_have_their_names_and_groups_in_tracking(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    driven(tmp_path, launcher)
    assert {job.environment["WANDB_NAME"] for job in launcher.started} == {run.folder for run in RUNS}
    assert {job.environment["WANDB_RUN_GROUP"] for job in launcher.started} == {"s/a", "s/b"}


def test_a_training_that_ends_without_a_result_has_failed(tmp_path: Path) -> None:
    class Silent(FakeLauncher):
        def _write(self, job: Job) -> None:
            if job.name != "a/1":
                super()._write(job)

    launcher = Silent()
    progress = driven(tmp_path, launcher)
    assert progress.failed == ["a/1"]
    assert progress.finished == 5
    assert [job.name for job in launcher.started].count("a/1") == 1 + STUDY.retries
