import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

import fusionseg.commands
from fusionseg.cli import entry
from fusionseg.cli.entry import guarded
from fusionseg.commands.fit import main
from fusionseg.config.errors import UserError

WAYS = [
    "-m fusionseg.fit",
    "-m fusionseg.evaluate",
    "-m fusionseg.predict --images x --out y",
    "-m fusionseg fit",
    "fusionseg fit",
]
"""The ways to start a command, as arguments of Python; the last is the installed script."""


def started(way: str, folder: Path, torch: str = "") -> "subprocess.CompletedProcess[str]":
    """A command, in place of whose slowest import something else happens if that is given."""
    if torch:
        (folder / "torch.py").write_text(torch)
    script = folder / "fusionseg"
    script.write_text("import sys\nfrom fusionseg.cli.entry import main\nsys.exit(main())\n")
    words = [str(script) if word == "fusionseg" and way.startswith(word) else word for word in way.split()]
    paths = [str(folder), *sys.path] if torch else sys.path
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("way", WAYS)
def test_control_c_while_a_command_starts_is_one_word(way: str, tmp_path: Path) -> None:
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    )
    done = started(way, tmp_path, f"{heard}; signal.raise_signal(signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("way", ["-m fusionseg", "fusionseg"])
def test_help_lists_the_commands_and_imports_neither_torch_nor_lightning(way: str, tmp_path: Path) -> None:
    done = started(f"{way} --help", tmp_path, "raise ImportError('torch is imported')")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    files = Path(fusionseg.commands.__path__[0]).glob("*.py")
    assert listed == sorted(path.stem for path in files if path.stem != "__init__")
    assert "  evaluate   Measures the best checkpoint of a run" in done.stdout


def test_finding_commands_imports_nothing_heavy() -> None:
    script = "import sys, fusionseg.cli.entry as e; e.overview(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "jsonargparse", "numpy"} & set(done.stdout.split())


@pytest.mark.parametrize("way", ["-m fusionseg", "fusionseg"])
def test_an_unknown_command_is_one_line_with_the_nearest_name(way: str, tmp_path: Path) -> None:
    done = started(f"{way} fitt --out x", tmp_path, "raise ImportError('torch is imported')")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no command 'fitt'; did you mean fit?\n"


def test_without_a_command_the_list_is_shown_and_the_code_is_2(tmp_path: Path) -> None:
    done = started("-m fusionseg", tmp_path)
    assert done.returncode == 2
    assert "Measures the best checkpoint" in done.stdout


def test_a_command_leaves_the_arguments_of_the_process_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["fusionseg", "predict", "--images"]
    monkeypatch.setattr(sys, "argv", list(given))
    with pytest.raises(SystemExit, match="2"):
        entry.main()
    assert sys.argv == given


def test_what_else_keeps_a_command_from_starting_has_its_traceback(tmp_path: Path) -> None:
    done = started("-m fusionseg.fit", tmp_path, "raise ImportError('broken')")
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
        UserError("too small"),
        FileNotFoundError("too small"),
        PermissionError(13, "Permission denied", "a.png"),
        argparse.ArgumentError(None, "too small"),
    ):
        library: Future[None] = Future()
        library.set_exception(raised)
        assert code(library.result, [], monkeypatch) == 2
        assert capsys.readouterr() == ("", f"error: {raised}\n")


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("too many values"),
        RuntimeError("a bug"),
        ConnectionRefusedError(111, "Connection refused"),
        FileNotFoundError(2, "No such file or directory", "weights.bin"),
    ],
)
def test_any_other_error_keeps_its_traceback(raised: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Sequence[str]) -> None:
        raise raised

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(type(raised)) as kept:
        guarded(broken, [])
    assert kept.value is raised


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


def test_what_may_be_a_bug_of_one_s_own_gets_the_setting_that_mends_it_as_a_note() -> None:
    def head(_: Sequence[str]) -> None:
        raise RuntimeError("Calculated output size: (8x0x0). Output size is too small")

    with pytest.raises(RuntimeError, match="Output size is too small") as kept:
        guarded(head, [])
    assert kept.value.__notes__[0].startswith("(if the code above is right: data.crop_size: expected larger")


def test_an_error_of_one_s_own_code_in_a_worker_is_known_by_the_files_in_its_message(tmp_path: Path) -> None:
    installed = Path(pytest.__file__)
    for place, code in ((tmp_path / "own.py", None), (installed, 2)):
        library: Future[None] = Future()
        library.set_exception(
            FileNotFoundError(
                "Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
                f'last):\n  File "{place}", line 3, in read\nFileNotFoundError: [Errno 2] no such file'
            )
        )
        with pytest.raises((SystemExit, FileNotFoundError)) as end:
            guarded(library.result, [])  # type: ignore[arg-type]
        assert getattr(end.value, "code", None) == code
