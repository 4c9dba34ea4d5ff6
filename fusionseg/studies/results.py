"""The results of a study, or of any run folders: a row for each run."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json
from fusionseg.runs.evaluations import evaluation
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.bare_runs import bare_run, common_epoch
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.occupied import another_run
from fusionseg.studies.run_result import RunResult, Status, run_result

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Results:
    """The runs of a study, in the order of its variants and seeds.

    Attributes:
        runs: Every run that the study asks for.
        declared: What the study file says (`studies/<name>.json`); of bare run folders only `name`, `metric`
            and `epoch`.
    """

    runs: Sequence[RunResult]
    declared: Json

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.declared["name"])

    @property
    def metric(self) -> str:
        """The figure that decides, such as `val/score`."""
        return str(self.declared["metric"])

    @property
    def variants(self) -> list[str]:
        """The names of the variants, in the order of the study file."""
        return list(dict.fromkeys(run.variant for run in self.runs))

    @property
    def reference(self) -> str:
        """The variant that the others are compared with: the study's own, or the first.

        In a search, which may fail or prune its first trials, it is the first whose runs are finished, or
        else some of them.
        """
        if named := self.declared.get("reference"):
            return str(named)
        states = {name: {run.status for run in self.of(name).values()} for name in self.variants}
        taking = [name for name in states if "pruned" not in states[name]] or self.variants
        if self.declared.get("search"):
            taking.sort(key=lambda name: ("finished" not in states[name], len(states[name])))
        return taking[0]

    def of(self, variant: str) -> dict[int, RunResult]:
        """The runs of a variant by their seeds."""
        return {run.seed: run for run in self.runs if run.variant == variant}

    def figures(self, variant: str, name: str) -> dict[int, float]:
        """A figure of the finished runs of a variant, by their seeds; where it is undefined there is none."""
        finished = {seed: run for seed, run in self.of(variant).items() if run.status == "finished"}
        return {
            seed: run.figures[name]
            for seed, run in finished.items()
            if not math.isnan(run.figures.get(name, math.nan))
        }

    def frame(self) -> "pd.DataFrame":
        """A row for each run: variant, seed, status, folder, the axes, figures and cost.

        Raises:
            UsageError: If pandas is missing.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError('a table needs pandas: pip install "fusionseg[study]"') from error
        return pd.DataFrame([_row(run) for run in self.runs])


def _row(run: RunResult) -> dict[str, Any]:
    own = {"variant": run.variant, "seed": run.seed, "status": run.status, "folder": str(run.folder)}
    cost = {name: run.summary.get(name) for name in ("seconds", "images_per_second", "parameters")}
    return {**own, **run.point, **run.figures, **cost}


def collect(paths: Iterable[str | Path], name: str | None = None) -> Results:
    """The results of a study folder, or of several run folders.

    Args:
        paths: One folder of a study, or run folders, whose parent folders then name their variants.
        name: Which study, where a folder holds several.

    Raises:
        UsageError: If a folder holds neither, or several studies and none is named, or the runs were
            evaluated with different epochs.
    """
    folders = [Path(path) for path in paths]
    if len(folders) == 1 and not RunFolder(folders[0]).config.is_file():
        return _of_study(StudyFolder(folders[0]), name)
    once = list({folder.resolve(): folder for folder in folders}.values())
    epoch = common_epoch(once)
    runs = [bare_run(folder, epoch) for folder in once]
    places: dict[tuple[str, int], Path] = {}
    for run in runs:
        other = places.setdefault((run.variant, run.seed), run.folder)
        if other is not run.folder:
            raise UsageError(
                f"expected runs of different variants or seeds, found {other} and {run.folder}, both "
                f"{run.variant!r} with seed {run.seed}: rename one of the folders"
            )
    return Results(runs, {"name": "runs", "metric": "val/score", "epoch": epoch})


def load(path: str | Path, name: str | None = None) -> "pd.DataFrame":
    """The runs of a study as a table: see `Results.frame`."""
    return collect([path], name).frame()


def _of_study(folder: StudyFolder, name: str | None) -> Results:
    declared = folder.declared(name)
    by_name = {variant["name"]: variant for variant in declared["variants"]}
    runs = []
    for run in declared["runs"]:
        variant = by_name[run["variant"]]
        record = folder.record(run["key"])
        path = folder.path / run["folder"]
        status = _status(path, declared["epoch"], record)
        if other := another_run(path, variant.get("resolved") or {}, run["seed"]):
            print(f"{path} holds another run than the study's ({other}): it is left out", file=sys.stderr)
            status = "missing"
        runs.append(
            run_result(
                path,
                run["variant"],
                run["seed"],
                status,
                epoch=declared["epoch"],
                settings=variant["settings"],
                point=variant.get("point", {}),
                reason=record.get("reason", ""),
            )
        )
    return Results(runs, declared)


def _status(path: Path, epoch: str, record: Json) -> Status:
    """How a run ended: a driver may have died, or a disk have been full, before it was recorded."""
    if evaluation(path, "val", epoch) is not None:
        return "finished"
    recorded: Status = record.get("status", "missing")
    return "interrupted" if recorded == "finished" else recorded
