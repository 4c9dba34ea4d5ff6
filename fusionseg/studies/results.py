"""The results of a study, or of any run folders: a row for each run."""

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import yaml

from fusionseg.config.errors import UsageError
from fusionseg.files.atomic import Json
from fusionseg.runs.evaluations import evaluation, figures
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.folder import StudyFolder

if TYPE_CHECKING:
    import pandas as pd

Status: TypeAlias = Literal["finished", "failed", "interrupted", "running", "pruned", "missing"]


@dataclass(frozen=True)
class RunResult:
    """One run and what was measured of it.

    Attributes:
        variant: The variant that the run is of.
        seed: Its seed.
        folder: The run folder.
        status: `finished` runs have figures; `missing` ones have not begun.
        settings: What the variant sets, by keys with dots.
        point: The variant's place on the axes of its study, by the axes' names.
        figures: Figures by `split/name`, of the epoch that counts in the study.
        per_class: Figures of each class by split and class, as in `evaluation/<split>.json`.
        tuned: The splits whose figures a tuned decoder has (`fusionseg tune`).
        summary: The run's `summary.json`.
        reason: The end of the log of a failed run.
    """

    variant: str
    seed: int
    folder: Path
    status: Status
    settings: Mapping[str, Any] = field(default_factory=dict)
    point: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    tuned: frozenset[str] = frozenset()
    summary: Json = field(default_factory=dict)
    reason: str = ""

    def sums(self, split: str) -> Path:
        """The file of the additive sums of each image of a split."""
        return RunFolder(self.folder).evaluated(split).with_suffix(".npz")

    @cached_property
    def command(self) -> str:
        """The command that repeats the run."""
        return f"python -m fusionseg.fit --config {shlex.quote(f'{self.folder}/config.yaml')} --out OUT"


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

        In a search, which may fail or prune its first trials, it is the first whose runs are finished.
        """
        if named := self.declared.get("reference"):
            return str(named)
        finished = [
            name for name in self.variants if all(r.status == "finished" for r in self.of(name).values())
        ]
        return finished[0] if finished and self.declared.get("search") else self.variants[0]

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
        UsageError: If a folder holds neither, or several studies and none is named.
    """
    folders = [Path(path) for path in paths]
    if len(folders) == 1 and not RunFolder(folders[0]).config.is_file():
        return _of_study(StudyFolder(folders[0]), name)
    runs = [_bare(folder) for folder in {folder.resolve(): folder for folder in folders}.values()]
    places: dict[tuple[str, int], Path] = {}
    for run in runs:
        other = places.setdefault((run.variant, run.seed), run.folder)
        if other is not run.folder:
            raise UsageError(
                f"expected runs of different variants or seeds, found {other} and {run.folder}, both "
                f"{run.variant!r} with seed {run.seed}: rename one of the folders"
            )
    return Results(runs, {"name": "runs", "metric": "val/score", "epoch": "best"})


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
        # a driver may have died, or a disk have been full, before it was recorded
        status: Any = "finished" if figures(path, declared["epoch"]) else record.get("status", "missing")
        runs.append(
            _result(
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


def _bare(path: Path) -> RunResult:
    """A run folder outside of any study: its variant is the folder above it if its own name is a number."""
    folder = RunFolder(path)
    config = yaml.safe_load(folder.configuration().read_text(encoding="utf-8"))
    seed = config.get("seed_everything")
    variant = path.resolve().parent.name if path.name.isdigit() else path.name
    status = folder.read_summary().get("status", "missing")
    return _result(path, variant, seed if isinstance(seed, int) else 0, status)


def _result(
    path: Path, variant: str, seed: int, status: Status, epoch: str | None = None, **more: Any
) -> RunResult:
    """A run with its evaluations, in a study those of the epoch that counts there."""
    folder = RunFolder(path)
    measured: dict[str, float] = {}
    per_class: dict[str, Any] = {}
    tuned: set[str] = set()
    if status == "finished":
        for split in ("val", "test"):
            if found := evaluation(path, split, epoch):
                values = {k: float("nan") if v is None else v for k, v in found["metrics"].items()}
                measured |= {f"{split}/{name}": value for name, value in values.items()}
                per_class[split] = found.get("per_class", {})
                tuned |= {split} if (found.get("decoder") or {}).get("parameters") else set()
        if not measured and epoch is None:
            measured = dict((folder.readable_summary().get("best") or {}).get("metrics", {}))
    return RunResult(
        variant,
        seed,
        path,
        status,
        figures=measured,
        per_class=per_class,
        tuned=frozenset(tuned),
        summary=folder.readable_summary(),
        **more,
    )
