"""What a study asks for: its runs with their commands, and how much time and disk they take."""

import shlex
from collections.abc import Callable, Iterable
from functools import partial

from fusionseg.runs.evaluations import figures
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import duration
from fusionseg.studies.plan import Plan, PlannedRun, arguments
from fusionseg.studies.speed import run_seconds, step_seconds

CHECKPOINTS = 2
COPIES = 3
"""Weights and the two moments of Adam, which a checkpoint holds."""


def workload(plan: Plan, folder: StudyFolder, jobs: int, report: Callable[[str], None]) -> str:
    """The runs that are left, with their commands, and the time and disk that they take.

    A variant's time is that of its runs that are finished, validations included, or its steps times what one
    takes on this machine, which is measured once. It is divided by the runs at once.

    Args:
        plan: The study.
        folder: Where it runs.
        jobs: Runs at once.
        report: Called with a line before each thing that takes long.
    """
    left = [run for run in plan.runs if not figures(folder.path / run.folder, plan.study.epoch)]
    lines = [command_of(run, folder) for run in left]
    seconds: dict[str, float | None] = {}
    for variant in plan.study.variants:
        if any(run.variant == variant.name for run in left):
            seconds[variant.name] = run_seconds(
                folder, (run.folder for run in plan.runs if run.variant == variant.name)
            )
            steps = plan.steps[variant.name]
            if seconds[variant.name] is None and (minutes := plan.study.budget.get("minutes")):
                seconds[variant.name] = 60 * minutes
            elif seconds[variant.name] is None and steps:
                said = partial(report, f"{variant.name}: measuring how long its steps take")
                words = arguments(plan.study, variant)
                config = plan.configs[variant.name]
                seconds[variant.name] = steps * step_seconds(words, config, folder, said, steps)
    known = [value for run in left if (value := seconds[run.variant]) is not None]
    total = sum(known) / jobs if len(known) == len(left) else None
    disk = disk_of(plan.parameters[run.variant] for run in left)
    lines += [f"{name}: {duration(value)} a run" for name, value in seconds.items()]
    lines.append(f"{len(left)} of {len(plan.runs)} runs left: {duration(total)}, {jobs} at once; {disk}")
    return "\n".join(lines)


def command_of(run: PlannedRun, folder: StudyFolder) -> str:
    """A line with the command of a run."""
    words = [*run.arguments, "--out", str(folder.path / run.folder)]
    return f"{run.folder}: python -m fusionseg.fit {shlex.join(words)}"


def disk_of(parameters: Iterable[int]) -> str:
    """How much disk the checkpoints of runs take.

    Args:
        parameters: The number of parameters of each.
    """
    return f"{sum(4 * COPIES * CHECKPOINTS * number for number in parameters) / 2**30:.1f} GiB of checkpoints"
