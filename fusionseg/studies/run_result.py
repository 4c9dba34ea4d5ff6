"""One run of a study, or of any folder, and what was measured of it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fusionseg.files.atomic import Json
from fusionseg.runs.evaluations import evaluations
from fusionseg.runs.folder import RunFolder

Status: TypeAlias = Literal["finished", "failed", "interrupted", "running", "pruned", "missing"]


@dataclass(frozen=True)
class RunResult:
    """One run and what was measured of it.

    Attributes:
        variant: The variant that the run is of.
        seed: Its seed.
        folder: The run folder.
        status: `finished` runs have figures; `missing` ones have not begun; one that a driver finished and
            whose figures cannot be read is `interrupted`, as the same command measures it again.
        settings: What the variant sets, by keys with dots.
        point: The variant's place on the axes of its study, by the axes' names.
        figures: Figures by `split/name`, of the epoch that counts in the study.
        evaluations: The file of the evaluation that they are from, by split.
        per_class: Figures of each class by split and class, as in that file.
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
    evaluations: Mapping[str, Path] = field(default_factory=dict)
    per_class: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    tuned: frozenset[str] = frozenset()
    summary: Json = field(default_factory=dict)
    reason: str = ""

    def sums(self, split: str) -> Path:
        """The file of the additive sums of each image of a split, which need not exist."""
        return self.evaluations.get(split, RunFolder(self.folder).evaluated(split)).with_suffix(".npz")

    @cached_property
    def command(self) -> str:
        """The command that repeats the run."""
        return f"python -m fusionseg.fit --config {shlex.quote(f'{self.folder}/config.yaml')} --out OUT"


def run_result(path: Path, variant: str, seed: int, status: Status, epoch: str, **more: Any) -> RunResult:
    """A run with its evaluations of the epoch that counts.

    Args:
        path: The run folder.
        variant: As of `RunResult`.
        seed: The same.
        status: The same; the evaluations of a run that is not finished are left out.
        epoch: Which epoch counts, `last` or `best`.
        more: Further attributes of the result.
    """
    measured: dict[str, float] = {}
    files: dict[str, Path] = {}
    per_class: dict[str, Any] = {}
    tuned: set[str] = set()
    for split in ("val", "test") if status == "finished" else ():
        for file, found in islice(evaluations(path, split, epoch), 1):
            files[split] = file
            values = {k: float("nan") if v is None else v for k, v in found["metrics"].items()}
            measured |= {f"{split}/{name}": value for name, value in values.items()}
            per_class[split] = found.get("per_class", {})
            tuned |= {split} if (found.get("decoder") or {}).get("parameters") else set()
    return RunResult(
        variant,
        seed,
        path,
        status,
        figures=measured,
        evaluations=files,
        per_class=per_class,
        tuned=frozenset(tuned),
        summary=RunFolder(path).readable_summary(),
        **more,
    )
