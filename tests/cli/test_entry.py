import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fusionseg.cli.entry import guarded
from fusionseg.commands.fit import main

DOORS = ("fit", "evaluate", "predict")


def opened(door: str, folder: Path, torch: str) -> "subprocess.CompletedProcess[str]":
    """A command, in place of whose slowest import something else happens."""
    (folder / "torch.py").write_text(torch)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-m", f"fusionseg.{door}"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("door", DOORS)
def test_control_c_while_a_command_starts_is_one_word(door: str, tmp_path: Path) -> None:
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    )
    done = opened(door, tmp_path, f"{heard}; signal.raise_signal(signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_what_else_keeps_a_command_from_starting_has_its_traceback(tmp_path: Path) -> None:
    done = opened("fit", tmp_path, "raise ImportError('broken')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ImportError: broken\n")


def code(
    command: Callable[[Sequence[str]], None], words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> object:
    monkeypatch.setattr(sys, "argv", ["command", *words])
    with pytest.raises(SystemExit) as stop:
        guarded(command, words)
    return stop.value.code


def test_a_door_says_in_one_message_what_the_user_can_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FUSIONSEG_DEBUG", raising=False)
    for raised in (
        ValueError("too small"),
        FileNotFoundError("too small"),
        argparse.ArgumentError(None, "too small"),
    ):

        def command(_: Sequence[str], raised: Exception = raised) -> None:
            raise raised

        assert code(command, [], monkeypatch) == 2
        assert capsys.readouterr() == ("", "error: too small\n")


def test_debugging_shows_the_traceback_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUSIONSEG_DEBUG", "1")
    assert code(main, ["--model.alhpa", "1"], monkeypatch) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("Traceback")
    assert errors.endswith("error: model.alhpa: no such setting; did you mean alpha?\n")


def test_a_door_has_the_usual_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Sequence[str]) -> None:
        raise KeyboardInterrupt

    assert code(interrupted, [], monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert code(lambda _: None, [], monkeypatch) == 0


def test_a_mistake_of_ours_is_no_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Sequence[str]) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(RuntimeError, match="a bug"):
        guarded(broken, [])
