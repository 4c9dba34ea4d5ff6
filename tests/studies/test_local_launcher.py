import time
from pathlib import Path

import pytest

from fusionseg.studies.launcher import Job
from fusionseg.studies.local_launcher import LocalLauncher
from fusionseg.studies.slots import Slot


def until_ended(launcher: LocalLauncher, seconds: float = 200) -> dict[str, int]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if codes := launcher.ended(1):
            return codes
    raise TimeoutError


@pytest.mark.slow
def test_a_job_on_several_devices_is_a_program_of_its_own(tmp_path: Path) -> None:
    launcher = LocalLauncher()
    slot = Slot(devices=("0", "1"))
    launcher.start(Job("a/0", "fit", ["--no-such-option"], tmp_path / "logs" / "a.log", slot))
    try:
        assert until_ended(launcher) == {"a/0": 2}
    finally:
        launcher.close()
    assert "no-such-option" in (tmp_path / "logs" / "a.log").read_text()


@pytest.mark.slow
def test_forked_runs_may_start_ranks_and_the_forking_process_may_die(tiny: list[str], tmp_path: Path) -> None:
    launcher = LocalLauncher()
    log = tmp_path / "a.log"
    ranks = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.max_epochs", "1"]
    try:
        launcher.start(Job("a/0", "fit", [*tiny, *ranks, "--out", str(tmp_path / "run")], log))
        assert until_ended(launcher) == {"a/0": 0}, log.read_text()
        assert launcher._server is not None
        launcher._server.kill()
        launcher._server.wait()
        launcher.start(Job("b/0", "fit", ["--help"], log))  # whose request it does not read
        with pytest.raises(ChildProcessError, match="the process that forks the runs died"):
            until_ended(launcher)
        launcher.start(Job("b/0", "fit", ["--help"], log))
        assert until_ended(launcher) == {"b/0": 0}
    finally:
        launcher.close()
