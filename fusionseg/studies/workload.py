"""What a study asks for: its runs with their commands, and how much time and disk they take."""

from collections.abc import Callable

from fusionseg.studies.driver import figures
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import duration
from fusionseg.studies.plan import Plan, arguments
from fusionseg.studies.speed import seconds_per_step

CHECKPOINTS = 2
COPIES = 3
"""Weights and the two moments of Adam, which a checkpoint holds."""


def workload(plan: Plan, folder: StudyFolder, jobs: int, report: Callable[[str], None]) -> str:
    """The runs that are left, with their commands, and the time and disk that they take.

    Time is that of training alone: the steps of a variant, times what one takes on this machine (measured, or
    on record from runs that are finished), divided by the runs at once.

    Args:
        plan: The study.
        folder: Where it runs.
        jobs: Runs at once.
        report: Called with a line before each thing that takes long.
    """
    left = [run for run in plan.runs if not figures(folder.path / run.folder, plan.study.epoch)]
    lines = [
        f"{run.folder}: python -m fusionseg.fit {' '.join(run.arguments)} --out {folder.path / run.folder}"
        for run in left
    ]
    seconds: dict[str, float | None] = {}
    for variant in plan.study.variants:
        if any(run.variant == variant.name for run in left):
            report(f"{variant.name}: measuring how long its steps take")
            steps = plan.steps[variant.name]
            each = seconds_per_step(arguments(plan.study, variant))
            seconds[variant.name] = steps * each if steps else None
    known = [value for run in left if (value := seconds[run.variant]) is not None]
    total = sum(known) / jobs if len(known) == len(left) else None
    disk = sum(4 * COPIES * CHECKPOINTS * plan.parameters[run.variant] for run in left)
    lines += [f"{name}: {duration(value)} of training a run" for name, value in seconds.items()]
    lines.append(
        f"{len(left)} of {len(plan.runs)} runs left: {duration(total)} of training, {jobs} at once; "
        f"{disk / 2**30:.1f} GiB of checkpoints"
    )
    return "\n".join(lines)
