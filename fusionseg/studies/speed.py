"""How long a variant's steps take on this machine, measured alone."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
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


def steps_within(
    arguments: Sequence[str], minutes: float, folder: StudyFolder, report: Callable[[], None]
) -> int:
    """The steps that fit into a time of training, at least one.

    Args:
        arguments: Those of `fit`, without `--out`.
        minutes: The time.
        folder: Of the study, which keeps what was measured.
        report: Called before steps are measured, if they were not yet.
    """
    command = shlex.join(arguments)
    seconds = folder.speed(command)
    if seconds is None:
        report()
        seconds = seconds_per_step(arguments)
        folder.keep_speed(command, seconds)
    return max(1, round(60 * minutes / seconds))
