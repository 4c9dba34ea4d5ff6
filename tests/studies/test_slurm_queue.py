import os
from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.studies.slurm_queue import SlurmQueue


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the calls of commands that stand in for SLURM's."""
    file = tmp_path / "calls"
    for name, output in (("squeue", "printf '7 a-0\\n12 b-1\\n'"), ("scancel", "exit 1")):
        command = tmp_path / name
        command.write_text(f'#!/bin/sh\necho {name} "$@" >> {file}\n{output}\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return file


def test_jobs_are_those_of_this_user_by_name(calls: Path) -> None:
    assert SlurmQueue().jobs() == {"a-0": "7", "b-1": "12"}
    assert f"--user={os.getuid()} " in calls.read_text()


def test_jobs_that_wait_are_canceled_and_those_that_run_are_signaled(calls: Path) -> None:
    SlurmQueue().stop(["b-1", "gone"])
    assert calls.read_text().splitlines()[1:] == [
        "scancel --state=PENDING 12",
        "scancel --signal=USR2 12",
    ]


def test_nothing_is_canceled_where_slurm_has_nothing(calls: Path) -> None:
    SlurmQueue().stop(["gone"])
    assert "scancel" not in calls.read_text()


def test_a_slurm_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"SLURM does not answer: .*squeue"):
        SlurmQueue().jobs()
    command = tmp_path / "squeue"
    command.write_text("#!/bin/sh\necho 'error: Unable to contact slurm controller' >&2\nexit 1\n")
    command.chmod(0o755)
    with pytest.raises(UserError, match=r"squeue: error: Unable to contact slurm controller$"):
        SlurmQueue().jobs()
