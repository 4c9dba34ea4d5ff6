"""What a search asks for: its trials, and how much time they take."""

from collections.abc import Callable
from functools import partial

from fusionseg.runs.evaluations import figures
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import duration
from fusionseg.studies.plan import Plan, arguments
from fusionseg.studies.report.numbers import count
from fusionseg.studies.resolve import Resolver
from fusionseg.studies.search.space import as_text
from fusionseg.studies.speed import run_seconds, step_seconds


def search_workload(
    plan: Plan, folder: StudyFolder, jobs: int, resolver: Resolver, report: Callable[[str], None]
) -> str:
    """The space, the trials that are left, and the time that they take.

    Args:
        plan: The study.
        folder: Where it runs.
        jobs: Runs at once.
        resolver: Says what comes of a command line.
        report: Called with a line before each thing that takes long.
    """
    search = plan.study.search
    assert search is not None
    left = max(0, search.trials - len(plan.trials))
    begun = [run["folder"] for run in (*plan.trial_runs, *(run.declared() for run in plan.runs))]
    open_runs = sum(not figures(folder.path / name, plan.study.epoch) for name in begun)
    seconds, origin = _seconds(plan, folder, resolver, report) if left or open_runs else (None, "")
    total = None if seconds is None else seconds * (left * len(plan.study.seeds) + open_runs) / jobs
    lines = [f"{one.key}: {as_text(one.declared())}" for one in search.space]
    if origin:
        lines.append(f"{duration(seconds)} a run, {origin}")
    lines.append(
        f"{left} of {count(search.trials, 'trial')} left, {count(len(plan.study.seeds), 'run')} each, and "
        f"{count(open_runs, 'run')} of others: {duration(total)}, {jobs} at once"
    )
    return "\n".join(lines)


def _seconds(
    plan: Plan, folder: StudyFolder, resolver: Resolver, report: Callable[[str], None]
) -> tuple[float | None, str]:
    """Seconds of a run and where they are from: finished trials, or steps in the middle of the space."""
    if known := run_seconds(folder, (run["folder"] for run in plan.trial_runs)):
        return known, "the mean of finished runs"
    assert plan.study.search is not None
    words = arguments(plan.study, Variant("middle", plan.study.search.middle))
    [outcome] = resolver([words])
    if not outcome.get("steps"):
        return None, "because the middle of the space cannot be built, or its steps are not known before"
    said = partial(report, "measuring how long steps take in the middle of the space")
    each = step_seconds(words, outcome["config"], folder, said, outcome["steps"])
    return outcome["steps"] * each, "in the middle of the space: training alone"
