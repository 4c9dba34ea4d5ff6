"""How long a variant's steps take on this machine, measured alone."""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fusionseg.config.errors import UsageError
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.folder import StudyFolder

STEPS = 40


def seconds_per_step(arguments: Sequence[str], steps: int = STEPS) -> float:
    """Seconds of a training step: the mean of the first ones, without validation.

    Args:
        arguments: Those of `fit`, without `--out`.
        steps: How many.

    Raises:
        UsageError: If they cannot be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        limits = [f"--trainer.max_steps={steps}", "--trainer.max_epochs=-1", "--trainer.limit_val_batches=0"]
        command = [sys.executable, "-m", "fusionseg.fit", *arguments, *limits, "--out", str(run.path)]
        environment = {**os.environ, "WANDB_MODE": "disabled"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        seconds = run.readable_summary().get("seconds_per_step")
        if done.returncode or not seconds:
            raise UsageError(f"no step could be measured: {(done.stderr or done.stdout).strip()[-2000:]}")
        return float(seconds)


def step_seconds(
    arguments: Sequence[str],
    config: str,
    folder: StudyFolder,
    report: Callable[[], None],
    steps: int | None = None,
) -> float:
    """Seconds of a training step, measured once on a machine for each configuration; the folder keeps them.

    Args:
        arguments: Those of `fit`, without `--out`.
        config: The configuration that they resolve to.
        folder: Of the study.
        report: Called before steps are measured.
        steps: How many a run has, where that is known: no more are measured, as a setting may hold for the
            epochs of the run alone.
    """
    key = f"{platform.node()} {hashlib.sha256(config.encode()).hexdigest()[:16]}"
    seconds = folder.speed(key)
    if seconds is None:
        report()
        seconds = seconds_per_step(arguments, min(STEPS, steps or STEPS))
        folder.keep_speed(key, seconds)
    return seconds


def run_seconds(folder: StudyFolder, runs: Iterable[str]) -> float | None:
    """The mean seconds of those of some runs, by their folders, that are finished; None if none is."""
    summaries = [RunFolder(folder.path / run).readable_summary() for run in runs]
    known = [one["seconds"] for one in summaries if one.get("status") == "finished" and one.get("seconds")]
    return sum(known) / len(known) if known else None


def steps_within(
    arguments: Sequence[str], config: str, minutes: float, folder: StudyFolder, report: Callable[[], None]
) -> int:
    """The steps that fit into a time of training, at least one; otherwise as `step_seconds`."""
    return max(1, round(60 * minutes / step_seconds(arguments, config, folder, report)))
