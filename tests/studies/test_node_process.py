import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fusionseg.studies.launcher import Job
from fusionseg.studies.node_process import NodeProcess

READY = "import pathlib, signal, sys, time\n"


def program(folder: Path, text: str) -> NodeProcess:
    (folder / "program.py").write_text(READY + text)
    return NodeProcess(("program", "an argument"), str(folder / "log"), str(folder), {"COLOR": "red"})


def when_ready(folder: Path, act: object) -> threading.Thread:
    def wait() -> None:
        while not (folder / "ready").exists():
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_job_is_a_command_with_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = Job("a/0", "fit", ["--out", "a/0"], Path("logs/a.log"), environment={"WANDB_TAGS": "s"})
    process = NodeProcess.of(job, 3)
    assert process.command == ("fusionseg.fit", "--out", "a/0")
    assert process.environment == {"OMP_NUM_THREADS": "3", "WANDB_TAGS": "s"}
    assert (process.log, process.folder) == (str(tmp_path / "logs" / "a.log"), str(tmp_path))


def test_output_is_added_to_the_log_and_the_exit_code_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    (tmp_path / "log").write_text("before\n")
    text = (
        "import os\nprint(sys.argv[1:], os.environ['COLOR'], os.environ['SLURM_JOB_ID'], flush=True)\n"
        "print('SLURM_NTASKS' in os.environ, file=sys.stderr)\nsys.exit(3)\n"
    )
    assert program(tmp_path, text).run() == 3
    assert (tmp_path / "log").read_text() == "before\n['an argument'] red 7\nFalse\n"


def test_signals_that_ask_are_passed_on_once_as_usr1(tmp_path: Path) -> None:
    text = (
        "got = []\nsignal.signal(signal.SIGUSR1, lambda *_: got.append(1))\npathlib.Path('ready').touch()\n"
        "until = time.monotonic() + 1.5\nwhile time.monotonic() < until: time.sleep(0.05)\n"
        "sys.exit(40 + len(got))\n"
    )
    before = signal.getsignal(signal.SIGUSR2)

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGUSR2)

    thread = when_ready(tmp_path, act)
    assert program(tmp_path, text).run(asks=[signal.SIGUSR2]) == 41
    thread.join()
    assert signal.getsignal(signal.SIGUSR2) == before


def test_the_process_ignores_usr2_that_slurm_sends_to_all(tmp_path: Path) -> None:
    text = "import os\nos.kill(os.getpid(), signal.SIGUSR2)\nsys.exit(5)\n"
    assert program(tmp_path, text).run() == 5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not report the death of a parent")
def test_the_process_is_asked_to_stop_if_what_runs_it_is_killed(tmp_path: Path) -> None:
    text = (
        "def stop(*_):\n    pathlib.Path('stopped').touch()\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\npathlib.Path('ready').touch()\ntime.sleep(60)\n"
    )
    process = program(tmp_path, text)
    code = f"from fusionseg.studies.node_process import NodeProcess\n{process!r}.run()"
    outer = subprocess.Popen([sys.executable, "-c", code])
    when_ready(tmp_path, outer.kill).join()
    outer.wait()
    until = time.monotonic() + 10
    while not (tmp_path / "stopped").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
