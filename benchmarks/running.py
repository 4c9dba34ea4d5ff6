"""Runs commands in other processes, and compares what they leave."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

DRAFT = re.compile(r"\..+\.\d+\.\w+")
"""The names of files that are being written."""


def started(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    """Starts a command, given with its arguments, in another process, whose output is appended to a log."""
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "fusionseg", *command], stdout=file, stderr=file)


def finished(command: list[str], log: Path) -> None:
    """Runs a command to its end.

    Raises:
        RuntimeError: If it fails.
    """
    if started(command, log).wait():
        raise RuntimeError(f"fusionseg {' '.join(command)} failed: {log.read_text()[-2000:]}")


def drafts(run: Path) -> list[Path]:
    """The drafts in a run folder: files that are being written, or were when the process was killed."""
    return [path for path in run.rglob(".*") if DRAFT.fullmatch(path.name)]


def same(one: Any, other: Any) -> bool:
    """Whether two contents of checkpoints are equal bit by bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def differences(whole: Path, run: Path) -> list[str]:
    """What differs between a run folder and that of the undisturbed run."""
    found = [f"{path.name} was left" for path in drafts(run)]
    for name in ("last", "best"):
        one = torch.load(whole / "checkpoints" / f"{name}.ckpt", weights_only=True)
        other = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for key in ("state_dict", "optimizer_states"):
            if not same(one[key], other[key]):
                found.append(f"{key} in {name}.ckpt")
    if (whole / "metrics.csv").read_bytes() != (run / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    only_in_one = _names(whole) ^ _names(run)
    return found + [f"{name} is in one alone" for name in sorted(only_in_one)]


def _names(folder: Path) -> set[str]:
    """The relative paths of everything in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
