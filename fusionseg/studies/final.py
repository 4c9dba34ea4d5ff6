"""Which runs of a study are measured on the test split in the end."""

from collections.abc import Callable, Collection, Sequence

from fusionseg.config.errors import UsageError
from fusionseg.runs.evaluations import figures
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, PlannedRun
from fusionseg.studies.search.runs import trial_runs
from fusionseg.studies.study_file import Study


def chosen_variants(plan: Plan, folder: StudyFolder, final: str | None) -> list[str]:
    """The variants that are measured on the test split; of trials, those that are finished can be.

    Raises:
        UsageError: If there is no such variant.
    """
    names = [variant.name for variant in plan.study.variants]
    for trial in plan.trials:
        runs = [run for run in plan.trial_runs if run["variant"] == trial["name"]]
        if runs and all(folder.record(run["key"]).get("status") == "finished" for run in runs):
            names.append(trial["name"])
    chosen = []
    rest = f"{final}," if final else ""
    while rest:  # names may hold commas themselves
        fitting = [name for name in names if rest.startswith(f"{name},")]
        if not fitting:
            found = rest.split(",")[0]
            raise UsageError(f"expected variants of the study or finished trials, found {found!r}", "final")
        chosen.append(max(fitting, key=len))
        rest = rest.removeprefix(f"{chosen[-1]},")
    return chosen


def final_runs(
    plan: Plan,
    folder: StudyFolder,
    chosen: Collection[str],
    failed: Collection[str] = (),
    report: Callable[[str], None] = print,
) -> list[PlannedRun]:
    """The runs of the chosen variants and trials; a line for each of which a run failed, which is left out.

    Args:
        plan: The study, of which all runs are finished or failed.
        folder: Where they are.
        chosen: The names of variants and trials.
        failed: The folders of the runs that failed.
        report: Called with the lines.

    Raises:
        UsageError: If a run that is not measured yet has no checkpoint any more.
    """
    study = plan.study
    every = [*plan.runs, *trial_runs(study, plan.trials, plan.trial_runs)]
    broken = {run.variant: run.folder for run in every if run.variant in chosen and run.folder in failed}
    for name, run in broken.items():
        report(f"{name} is not measured on the test split, as its run {run} failed")
    runs = [run for run in every if run.variant in chosen and run.variant not in broken]
    lost = []
    for one in runs:
        where = RunFolder(folder.path / one.folder)
        checkpoint = where.best if study.epoch == "best" else where.last
        if not checkpoint.is_file() and not figures(where.path, study.epoch, "test"):
            lost.append(one.folder)
    if lost:
        raise UsageError(
            f"expected the checkpoints of the runs, found none in {', '.join(lost[:5])}"
            f"{' ...' if len(lost) > 5 else ''}: run the study in another folder, where they are kept",
            "final",
        )
    return runs


def record_final(folder: StudyFolder, study: Study, runs: Sequence[PlannedRun]) -> None:
    """Records which variants are measured on the test split here; those that were before are not among them.

    It is recorded before they are measured, so that a driver that dies in between forgets none.
    """
    declared = folder.declared(study.name)
    before = {run.variant for run in runs if figures(folder.path / run.folder, study.epoch, "test")}
    now = {run.variant for run in runs} - before
    folder.declare({**declared, "final": sorted({*declared.get("final", []), *now})})
