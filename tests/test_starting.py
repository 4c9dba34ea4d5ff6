import os
import subprocess
import sys
from pathlib import Path

import pytest

DOORS = ("fit", "evaluate", "predict")


def opened(door: str, folder: Path, torch: str) -> "subprocess.CompletedProcess[str]":
    """A command, in place of whose slowest import something else happens."""
    (folder / "torch.py").write_text(torch)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-m", f"fusionseg.{door}"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("door", DOORS)
def test_control_c_while_a_command_starts_is_one_word(door: str, tmp_path: Path) -> None:
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    done = opened(door, tmp_path, f"{heard}; signal.raise_signal(signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_what_else_keeps_a_command_from_starting_has_its_traceback(tmp_path: Path) -> None:
    done = opened("fit", tmp_path, "raise ImportError('broken')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ImportError: broken\n")
