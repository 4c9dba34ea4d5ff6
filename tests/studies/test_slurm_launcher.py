"""SLURM's launcher against an executor that keeps what is submitted, and a queue that is a dictionary."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fusionseg.config.errors import UserError
from fusionseg.studies.launcher import Job
from fusionseg.studies.slurm_launcher import LOST, SlurmLauncher
from fusionseg.studies.slurm_queue import SlurmQueue
from fusionseg.studies.slurm_records import SlurmRecords

FailedJobError = pytest.importorskip("submitit.core.utils").FailedJobError


class FakeSlurm(SlurmQueue):
    """Both submitit's executor and the queue of one SLURM, which outlives drivers."""

    def __init__(self) -> None:
        self.queued: dict[str, str] = {}
        self.tasks: dict[str, tuple[Any, ...]] = {}
        self.stopped: list[str] = []
        self.refuses = False
        self.answers = True
        self.name = ""

    def update_parameters(self, job_name: str) -> None:
        self.name = job_name

    def submit(self, task: Callable[..., None], *arguments: Any) -> SimpleNamespace:
        if self.refuses:
            raise FailedJobError("sbatch: error: too many\njobs")
        self.queued[self.name] = str(len(self.tasks))
        self.tasks[self.name] = arguments
        return SimpleNamespace(job_id=self.queued[self.name])

    def jobs(self) -> dict[str, str]:
        if not self.answers:
            raise UserError("SLURM does not answer: squeue")
        return dict(self.queued)

    def stop(self, names: Any) -> None:
        self.stopped += names
        for name in names:
            self.queued.pop(name, None)

    def end(self, name: str, code: int) -> None:
        records, own_name, _ = self.tasks[name]
        del self.queued[name]
        records.write_exit(own_name, code)


@pytest.fixture
def slurm() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def driver(slurm: FakeSlurm, tmp_path: Path) -> Callable[[], SlurmLauncher]:
    """A new driver's launcher."""
    return lambda: SlurmLauncher(SlurmRecords(tmp_path / "slurm"), slurm, slurm, look=0, grace=0)


def job(folder: Path, name: str = "a/0", command: str = "fit") -> Job:
    return Job(name, command, ["--out", name], folder / "logs" / "log.log")


def only(slurm: FakeSlurm) -> str:
    [name] = slurm.queued
    return name


def test_a_job_ends_with_the_exit_code_that_it_left(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    launcher = driver()
    launcher.start(job(tmp_path, "ratio=0.5,low/0"))
    assert launcher.ended(0) == {}
    name = only(slurm)
    assert name.startswith("ratio-0.5-low-0-")
    slurm.end(name, 138)
    assert launcher.ended(0) == {"ratio=0.5,low/0": 138}
    assert launcher.ended(0) == {}
    assert launcher.records.all() == {}
    assert launcher.records.exits() == {}


def test_the_job_is_on_record_before_slurm_knows_it(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(*_: object) -> None:
        raise KeyboardInterrupt

    launcher = driver()
    monkeypatch.setattr(slurm, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        launcher.start(job(tmp_path))
    assert launcher.records.all()["a/0"].name == slurm.name


def test_a_lost_job_is_reported_with_where_to_look(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    launcher = driver()
    launcher.start(job(tmp_path))
    slurm.queued.clear()
    assert launcher.ended(0) == {"a/0": LOST}
    log = (tmp_path / "logs" / "log.log").read_text()
    assert "SLURM job 0 ended without an exit code" in log
    assert "submitit/0_0_log.err" in log


def test_a_job_is_not_lost_before_its_exit_code_may_be_seen(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    launcher = driver()
    launcher.grace = 60
    launcher.start(job(tmp_path))
    name = only(slurm)
    slurm.queued.clear()
    assert launcher.ended(0) == {}
    launcher.records.write_exit(name, 0)
    assert launcher.ended(0) == {"a/0": 0}


def test_no_job_is_lost_while_slurm_does_not_answer(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher = driver()
    launcher.start(job(tmp_path))
    slurm.answers = False
    assert launcher.ended(0) == {}
    assert "SLURM does not answer" in capsys.readouterr().err


def test_the_next_driver_takes_over_what_is_queued_or_running(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    driver().start(job(tmp_path))
    name = only(slurm)
    second = driver()
    assert second.takes_over("a/0")
    assert not second.takes_over("b/0")
    second.start(job(tmp_path))
    assert list(slurm.tasks) == [name]
    slurm.end(name, 0)
    assert second.ended(0) == {"a/0": 0}


def test_the_next_driver_learns_how_a_job_ended_without_it(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    driver().start(job(tmp_path, command="evaluate"))
    slurm.end(only(slurm), 0)
    second = driver()
    second.start(job(tmp_path, command="evaluate"))
    assert second.ended(0) == {"a/0": 0}
    assert len(slurm.tasks) == 1


def test_a_job_that_left_nothing_is_submitted_again(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    driver().start(job(tmp_path))
    slurm.queued.clear()
    second = driver()
    assert not second.takes_over("a/0")
    second.start(job(tmp_path))
    assert len(slurm.tasks) == 2


def test_an_evaluation_waits_for_the_training_that_an_earlier_driver_left(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    driver().start(job(tmp_path))
    training = only(slurm)
    second = driver()
    second.start(job(tmp_path, command="evaluate"))
    assert second.ended(0) == {}
    assert list(slurm.tasks) == [training]
    slurm.end(training, 0)
    assert second.ended(0.1) == {}
    slurm.end(only(slurm), 0)
    assert second.ended(0) == {"a/0": 0}
    assert len(slurm.tasks) == 2


def test_a_first_job_that_slurm_refuses_is_an_error_of_one_line(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    slurm.refuses = True
    launcher = driver()
    with pytest.raises(UserError, match=r"^SLURM refuses a/0: sbatch: error: too many jobs$"):
        launcher.start(job(tmp_path))
    assert launcher.records.all() == {}


def test_a_later_job_that_slurm_refuses_is_submitted_later(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher = driver()
    launcher.start(job(tmp_path, "a/0"))
    slurm.refuses = True
    launcher.start(job(tmp_path, "b/0"))
    assert launcher.ended(0) == {}
    assert "SLURM refuses b/0 for now" in capsys.readouterr().err
    slurm.refuses = False
    launcher.ended(0)
    assert len(slurm.queued) == 2


def test_what_is_stopped_before_slurm_takes_it_has_ended(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    launcher = driver()
    launcher.start(job(tmp_path, "a/0"))
    slurm.refuses = True
    launcher.start(job(tmp_path, "b/0"))
    launcher.stop("b/0")
    assert launcher.ended(0) == {"b/0": -15}
    slurm.refuses = False
    assert launcher.ended(0) == {}
    assert len(slurm.queued) == 1


def test_what_is_stopped_is_canceled_by_its_name(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    launcher = driver()
    launcher.start(job(tmp_path, "a/0"))
    name = only(slurm)
    launcher.start(job(tmp_path, "b/0"))
    launcher.stop("a/0")
    assert slurm.stopped == [name]


def test_closing_stops_all_jobs_and_forgets_them(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher], tmp_path: Path
) -> None:
    first = driver()
    first.start(job(tmp_path, "a/0"))
    first.start(job(tmp_path, "b/0"))
    second = driver()
    second.start(job(tmp_path, "a/0"))
    second.close()
    assert not slurm.queued
    assert second.records.all() == {}
    assert second.ended(0) == {}


def test_closing_when_nothing_runs_asks_slurm_nothing(
    slurm: FakeSlurm, driver: Callable[[], SlurmLauncher]
) -> None:
    slurm.answers = False
    driver().close()
