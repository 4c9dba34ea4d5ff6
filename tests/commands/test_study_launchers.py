"""A study on a cluster gives the numbers that it gives on this machine."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fusionseg.commands.study import main
from fusionseg.runs.folder import RunFolder
from fusionseg.studies import launchers
from fusionseg.studies.driver import Progress
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import Display
from fusionseg.studies.slurm_launcher import SlurmLauncher
from fusionseg.studies.slurm_queue import SlurmQueue
from fusionseg.studies.slurm_records import SlurmRecords

RUN = "joint/0"
ONE_CORE_EACH = ["--jobs", str(len(os.sched_getaffinity(0)))]


VARIANTS = {"joint": {}, "single": {"model.region_head": None}}


class Killed(BaseException):
    """The driver dies here."""


def figures(out: Path) -> dict[str, Any]:
    """All that the evaluations of the runs say."""
    files = sorted(out.glob("*/0/evaluation/last/val.json"))
    return {str(file.relative_to(out)): json.loads(file.read_text()) for file in files}


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The jobs that a cluster was given: submitit's local executor in the place of SLURM."""
    submitit = pytest.importorskip("submitit")
    jobs: dict[str, Any] = {}

    class Executor(submitit.LocalExecutor):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            self.parameters["timeout_min"] = 30

        def _submit_command(self, command: str) -> Any:
            jobs[self.parameters["job_name"]] = job = super()._submit_command(command)
            return job

    class Queue(SlurmQueue):
        def jobs(self) -> dict[str, str]:
            return {name: job.job_id for name, job in jobs.items() if not job.done()}

        def stop(self, names: Any) -> None:
            for name in names:
                for task in psutil.Process(int(jobs[name].job_id)).children():
                    task.send_signal(signal.SIGUSR2)

    monkeypatch.setattr(launchers, "SlurmQueue", Queue)
    monkeypatch.setattr(submitit, "SlurmExecutor", Executor)
    names: list[str] = []
    write = SlurmRecords.write
    monkeypatch.setattr(
        SlurmRecords,
        "write",
        lambda self, run, record: (names.append(f"{run} {record.command}"), write(self, run, record)),
    )
    yield names
    for job in jobs.values():
        job.wait()


def end_when(monkeypatch: pytest.MonkeyPatch, out: Path, error: type[BaseException]) -> None:
    """Raises in the driver once the run has trained for some epochs."""

    def show(_: Display, progress: Progress) -> None:
        metrics = RunFolder(out / RUN).metrics
        if metrics.is_file() and len(metrics.read_text().splitlines()) > 3:
            raise error

    monkeypatch.setattr(Display, "show", show)


@pytest.mark.slow
@pytest.mark.usefixtures("resolved_here")
def test_slurm_gives_the_same_numbers_also_after_ctrl_c_and_a_killed_driver(
    tmp_path: Path,
    study_file: Callable[..., Path],
    submitted: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = study_file(variants={"joint": {}}, budget={"epochs": 16})
    here, there = tmp_path / "here", tmp_path / "there"
    main([str(file), "--out", str(here), *ONE_CORE_EACH])
    command = [str(file), "--out", str(there), "--launcher", "slurm", "--gpus-per-run", "0"]
    with monkeypatch.context() as patch:
        end_when(patch, there, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            main(command)
    assert RunFolder(there / RUN).last.is_file()
    assert RunFolder(there / RUN).read_summary()["status"] == "interrupted"
    assert SlurmRecords(StudyFolder(there).slurm).all() == {}
    with monkeypatch.context() as patch:
        patch.setattr(SlurmLauncher, "close", lambda _: None)
        end_when(patch, there, Killed)
        with pytest.raises(Killed):
            main(command)
    main(command)
    assert figures(there) == figures(here)
    assert len(figures(here)) == 1
    starts = [submitted.count(f"{RUN} {command}") / 2 for command in ("fit", "evaluate")]
    assert starts == [2, 1]  # each is on record before and after it is submitted
    main(command)
    assert len(submitted) == 6


@pytest.mark.slow
@pytest.mark.usefixtures("resolved_here")
def test_ray_gives_the_same_numbers_on_two_nodes(
    tmp_path: Path, study_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    file = study_file(variants=VARIANTS, budget={"epochs": 2})
    here, there = tmp_path / "here", tmp_path / "there"
    main([str(file), "--out", str(here), *ONE_CORE_EACH])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        words = ["--launcher", "ray", "--ray-address", cluster.address]
        main([str(file), "--out", str(there), *words])
    finally:
        cluster.shutdown()
    assert figures(there) == figures(here)
    assert len(figures(here)) == 2
