"""Runs commands in processes of their own with limits, and finds faults in how they end."""

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.mutations import EXECUTED
from fusionseg.cli.entry import run

SECONDS = 60
GROWTH = 2 * 2**30
CHILDREN = 64
"""The limits of a command: seconds, growth of its memory in bytes, and number of child processes."""

LINES = 10
"""The maximum number of lines of a clear error."""


class End(NamedTuple):
    """How a command ended.

    Args:
        code: The exit code, or `None` if it was stopped.
        said: Its standard error.
        took: The limit that it exceeded, if any.
    """

    code: int | None
    said: str
    took: str


def enter(folder: Path, arguments: Sequence[str], whole: bool) -> None:
    """Turns this process into a command that runs in a folder, and writes its output beside the folder."""
    os.setsid()
    os.chdir(folder)
    os.environ |= {"WANDB_MODE": "disabled", "PYTHONPATH": str(Path(__file__).parents[1])}
    for number, name in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(folder.with_suffix(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    module = f"fusionseg.{arguments[0]}"
    if whole:
        os.execv(sys.executable, (sys.executable, "-m", module, *arguments[1:]))
    sys.argv = [module, *arguments[1:]]
    sys.path.insert(0, str(folder))  # as `python -m` does
    run(arguments[0])


def ended(folder: Path, arguments: Sequence[str], whole: bool = False) -> End:
    """Runs a command in a folder, and stops it if it exceeds a limit.

    Args:
        folder: The working directory of the command.
        arguments: The command and its arguments.
        whole: Start a new Python instead of forking one that has imported everything.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"fusionseg.commands.{name}" for name in ("fit", "evaluate", "predict")])
    process = context.Process(target=enter, args=(folder, arguments, whole))
    start = time.monotonic()
    took = ""
    before = 0
    process.start()
    while process.exitcode is None and not took:
        process.join(0.05)
        size, children = _size(process.pid or 0)
        before = before or size
        excess = {
            f"more than {SECONDS} s": time.monotonic() - start > SECONDS,
            f"{(size - before) >> 20} MiB more": size - before > GROWTH,
            f"{children} processes": children > CHILDREN,
        }
        took = next((limit for limit, exceeded in excess.items() if exceeded), "")
    with suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()  # it may not lead a group yet
    process.join()
    errors = folder.with_suffix(".err")
    said = errors.read_text(errors="replace") if errors.exists() else ""
    return End(None if took else process.exitcode, said, took)


def _size(pid: int) -> tuple[int, int]:
    """Peak memory of a process in bytes and its number of children; 0 if the process has ended."""
    try:
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0, 0
    return int(peak[1]) * 1024 if peak else 0, len(children)


def fault(end: End, made: set[str], names: set[str]) -> str:
    """What is wrong with how a command ended; empty if it ended in a result or one clear error.

    Args:
        end: How it ended.
        made: The files and folders that it left, relative to its working directory.
        names: The file and its settings, one of which an error has to mention.
    """
    drafts = sorted(p for p in made if Path(p).name.startswith(".") or p.endswith((".part", ".tmp")))
    parts = end.said.split("error: ", 1)
    faults = {
        f"took {end.took}": end.took,
        "code was executed": any(Path(p).name == EXECUTED for p in made),
        "a traceback": "Traceback (most" in end.said,
        f"exit code {end.code}": end.code not in (0, 2),
        f"a warning: {end.said.strip().splitlines()[:1]}": re.search(r"Warning|\.py:\d+: ", end.said),
        f"left {drafts}": drafts,
    }
    if end.code == 2:
        # a run that failed before its first checkpoint says so in its summary, and starts over when resumed
        whole_run = {"out/summary.json", "out/config.yaml", "out/metrics.csv"} <= made
        rest = not whole_run and "the others are in" not in parts[-1]
        faults |= {
            "no message": len(parts) == 1 or not parts[-1].strip(),
            f"a message of {len(parts[-1].splitlines())} lines": len(parts[-1].splitlines()) > LINES,
            "names neither file nor setting": not any(
                name in parts[-1] for name in (*names, "data.", "model.", "trainer.")
            ),
            f"left {sorted(made)[:5]}": rest and made,
        }
    return "; ".join(name for name, found in faults.items() if found)
