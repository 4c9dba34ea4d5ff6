"""Which runs of a study are measured on the test split in the end."""

from collections.abc import Collection

from fusionseg.config.errors import UsageError
from fusionseg.runs.evaluations import figures
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.plan import Plan, PlannedRun
from fusionseg.studies.search.runs import trial_runs


def final_runs(plan: Plan, folder: StudyFolder, chosen: Collection[str]) -> list[PlannedRun]:
    """The runs of the chosen variants and trials.

    Args:
        plan: The study, of which all runs are finished.
        folder: Where they are.
        chosen: The names of variants and trials.

    Raises:
        UsageError: If a run that is not measured yet has no checkpoint any more.
    """
    study = plan.study
    every = [*plan.runs, *trial_runs(study, plan.trials, plan.trial_runs)]
    runs = [run for run in every if run.variant in chosen]
    lost = []
    for run in runs:
        where = RunFolder(folder.path / run.folder)
        checkpoint = where.best if study.epoch == "best" else where.last
        if not checkpoint.is_file() and not figures(where.path, study.epoch, "test"):
            lost.append(run.folder)
    if lost:
        raise UsageError(
            f"expected the checkpoints of the runs, found none in {', '.join(lost[:5])}"
            f"{' ...' if len(lost) > 5 else ''}: run the study in another folder, where they are kept",
            "final",
        )
    return runs
