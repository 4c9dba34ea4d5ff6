"""What a search asks for: its runs that are known, its trials, and how much time and disk they take."""

from collections.abc import Callable
from functools import partial

from fusionseg.runs.evaluations import figures
from fusionseg.studies.axes import Variant
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import duration
from fusionseg.studies.plan import Plan, PlannedRun, arguments
from fusionseg.studies.report.numbers import count
from fusionseg.studies.resolve import Resolver
from fusionseg.studies.search.runs import trial_runs
from fusionseg.studies.search.space import as_text
from fusionseg.studies.speed import run_seconds, step_seconds
from fusionseg.studies.workload import command_of, disk_of


def search_workload(
    plan: Plan, folder: StudyFolder, jobs: int, resolver: Resolver, report: Callable[[str], None]
) -> str:
    """The space, the runs that are known and left, the trials that are to come, and the time and disk of all.

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
    known = _known(plan, folder)
    to_come = left * len(plan.study.seeds)
    seconds, origin = _seconds(plan, folder, resolver, report) if to_come or known else (None, "")
    total = None if seconds is None else seconds * (to_come + len(known)) / jobs
    parameters = {**plan.parameters, **{one["name"]: one.get("parameters", 0) for one in plan.trials}}
    each = [parameters[run.variant] for run in known] + to_come * [plan.point.get("parameters", 0)]
    lines = [f"{one.key}: {as_text(one.declared())}" for one in search.space]
    lines += [command_of(run, folder) for run in known]
    if origin:
        lines.append(f"{duration(seconds)} a run, {origin}")
    lines.append(
        f"{left} of {count(search.trials, 'trial')} left, {count(len(plan.study.seeds), 'run')} each, and "
        f"{count(len(known), 'run')} of others: {duration(total)}, {jobs} at once; {disk_of(each)}"
    )
    return "\n".join(lines)


def _known(plan: Plan, folder: StudyFolder) -> list[PlannedRun]:
    """The runs of fixed variants and of trials that were drawn, without those that are finished or pruned."""
    return [
        run
        for run in (*plan.runs, *trial_runs(plan.study, plan.trials, plan.trial_runs))
        if not figures(folder.path / run.folder, plan.study.epoch)
        and folder.record(run.key).get("status") != "pruned"
    ]


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
