"""The `search` of a study file: what is drawn, how, how often, and what is to be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.files.atomic import Json
from fusionseg.metrics.directions import lower_is_better
from fusionseg.studies.entries import a_list, a_mapping, a_number
from fusionseg.studies.report.figures import bare
from fusionseg.studies.search.space import Parameter, parameter

KEYS = ("space", "trials", "sampler", "pruner", "objectives", "storage")
Direction: TypeAlias = Literal["maximize", "minimize"]
DIRECTIONS: tuple[Direction, Direction] = ("maximize", "minimize")
GRIDS = ("GridSampler", "BruteForceSampler", "PartialFixedSampler")
"""Samplers that end by themselves or draw from another space."""


@dataclass(frozen=True)
class Part:
    """A sampler or pruner of Optuna.

    Attributes:
        name: Its class in `optuna.samplers` or `optuna.pruners`.
        arguments: What it is built with.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def declared(self) -> Json:
        """The entry of the study file, in full."""
        return {"class_path": self.name, "init_args": dict(self.arguments)}


@dataclass(frozen=True)
class Objective:
    """A figure of the validation that a search improves.

    Attributes:
        metric: The figure, such as `val/miou`.
        direction: `maximize` or `minimize`.
    """

    metric: str
    direction: Direction


@dataclass(frozen=True)
class Search:
    """A search as a study file describes it.

    Attributes:
        space: What is drawn.
        trials: How many trials there are in the end, failed and pruned ones too.
        sampler: What draws them.
        pruner: What stops hopeless ones; None for nothing.
        objectives: One or two figures.
        storage: The URL of a database that several machines share; empty for a journal in the study's folder.
    """

    space: tuple[Parameter, ...]
    trials: int
    sampler: Part
    pruner: Part | None
    objectives: tuple[Objective, ...]
    storage: str = ""

    def meaning(self) -> Json:
        """What cannot change after the first trial."""
        return {
            "space": {one.key: one.declared() for one in self.space},
            "sampler": self.sampler.declared(),
            "pruner": self.pruner.declared() if self.pruner else None,
            "objectives": [{"metric": one.metric, "direction": one.direction} for one in self.objectives],
        }

    @property
    def middle(self) -> dict[str, Any]:
        """The settings in the middle of the space."""
        return {one.key: one.middle for one in self.space}


def read_search(content: Mapping[str, Any], metric: str) -> Search:
    """Reads the entry `search` of a study file; whether its settings exist is not checked here.

    Args:
        content: The study file.
        metric: The figure that decides where no objectives are named.

    Raises:
        UsageError: If it describes no search.
    """
    given = a_mapping(content, "search")
    if unknown := sorted(map(str, given.keys() - set(KEYS))):
        raise UsageError(f"no such key of a search{nearest(unknown[0], KEYS)}", f"search.{unknown[0]}")
    try:
        space = a_mapping(given, "space")
        trials = a_number(given, "trials", 0)
        storage = given.get("storage") or ""
        if not space:
            raise UsageError("expected settings with ranges or choices, found none", "space")
        if not trials:
            raise UsageError("expected a number above 0", "trials")
        if not isinstance(storage, str):
            raise UsageError(f"expected a URL such as sqlite:///trials.db, found {storage!r}", "storage")
        objectives = _objectives(given, metric)
        sampler = _part(given.get("sampler") or "TPESampler", "sampler")
        pruner = _part(given["pruner"], "pruner") if given.get("pruner") else None
        if sampler.name in GRIDS:
            raise UsageError(
                "a grid is what `axes` are for; expected a sampler such as TPESampler", "sampler"
            )
        if pruner and len(objectives) > 1:
            raise UsageError("Optuna prunes with one objective only: leave it out", "pruner")
    except UsageError as error:
        raise UsageError(error.reason, f"search.{error.key}") from error
    parameters = tuple(parameter(str(key), value) for key, value in space.items())
    return Search(parameters, trials, sampler, pruner, objectives, storage)


def _objectives(given: Mapping[str, Any], metric: str) -> tuple[Objective, ...]:
    objectives = tuple(_objective(one) for one in a_list(given, "objectives") or [metric])
    names = [one.metric for one in objectives]
    if len(names) > 2 or len(set(names)) < len(names):
        raise UsageError(f"expected one or two figures that differ, found {', '.join(names)}", "objectives")
    return objectives


def _objective(given: Any) -> Objective:
    """A figure by its name, or a mapping with `metric` and `direction`."""
    entry = given if isinstance(given, dict) else {"metric": given}
    metric = entry.get("metric")
    if not isinstance(metric, str) or not metric.startswith("val/") or bare(metric).startswith("loss"):
        raise UsageError(
            "expected a figure that `evaluate` measures on the validation split, such as val/miou, found "
            f"{metric!r}",
            "objectives",
        )
    direction = entry.get("direction", DIRECTIONS[lower_is_better(metric)])
    if direction not in DIRECTIONS or entry.keys() - {"metric", "direction"}:
        raise UsageError(f"expected {{metric: {metric}, direction: minimize}}, found {given!r}", "objectives")
    return Objective(metric, direction)


def _part(given: Any, key: str) -> Part:
    """A class by its name, or a mapping with `class_path` and `init_args`."""
    entry = given if isinstance(given, dict) else {"class_path": given}
    name, arguments = entry.get("class_path"), entry.get("init_args") or {}
    known = isinstance(name, str) and name.isidentifier() and isinstance(arguments, dict)
    if not known or entry.keys() - {"class_path", "init_args"}:
        raise UsageError(
            "expected the name of a class of Optuna, or one with its arguments ({class_path: TPESampler, "
            f"init_args: {{multivariate: true}}}}), found {given!r}",
            key,
        )
    return Part(str(name), arguments)
