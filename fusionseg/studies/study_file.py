"""A study file: what is varied, over which seeds, and what decides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UsageError, mapping
from fusionseg.config.type_names import nearest
from fusionseg.files.atomic import Json
from fusionseg.studies.axes import Variant, crossed
from fusionseg.studies.entries import a_list, a_mapping, a_name, a_number, one_of
from fusionseg.studies.identity import leaves
from fusionseg.studies.search.declaration import Search, read_search

KEYS = (
    "description",
    "base",
    "settings",
    "axes",
    "formulas",
    "variants",
    "search",
    "seeds",
    "metric",
    "epoch",
    "reference",
    "baselines",
    "budget",
    "precision",
    "retries",
    "notes",
)
BUDGETS = ("epochs", "steps", "minutes")
TASKS = {"semantic": "miou", "region": "covering"}
"""The tasks that a baseline may be of, and the figure that stands for each in Delta-m."""
LARGEST = 2**32 - 1
"""The largest seed that Lightning takes."""
OWN = ("seed_everything", "trainer.precision", "trainer.max_epochs", "trainer.max_steps", "trainer.max_time")
"""Settings that a study has other words for: `seeds`, `precision` and `budget`."""


@dataclass(frozen=True)
class Study:
    """A study as its file describes it; nothing is known yet about whether its runs can be built.

    Attributes:
        name: The file's name without its suffix.
        base: The configurations that all runs begin with.
        settings: What all runs set, by keys with dots as on the command line of `fit`.
        variants: What is compared, beside the trials of a search.
        seeds: The seeds of each variant.
        metric: The validation figure that decides.
        epoch: Which epoch counts: `last`, or `best` by `trainer.monitor`.
        reference: The variant that the others are compared with.
        baselines: The single-task variants by the task that they are trained on.
        budget: `{epochs: N}`, `{steps: N}` or `{minutes: M}`; empty where the configurations decide.
        precision: As Lightning's; empty where the configurations decide.
        retries: How often a failed run is started again.
        notes: What the report says beside its figures.
        search: The search whose trials are variants too; None for none.
    """

    name: str
    base: tuple[Path, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    description: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, list[Any]] = field(default_factory=dict)
    metric: str = "val/score"
    epoch: str = "last"
    reference: str | None = None
    baselines: Mapping[str, str] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)
    precision: str = ""
    retries: int = 1
    notes: tuple[str, ...] = ()
    search: Search | None = None

    def declared(self) -> Json:
        """What the report needs to know of the file."""
        return {
            "name": self.name,
            "description": self.description,
            "metric": self.metric,
            "epoch": self.epoch,
            "reference": self.reference,
            "baselines": dict(self.baselines),
            "axes": dict(self.axes),
            "seeds": list(self.seeds),
            "budget": dict(self.budget),
            "precision": self.precision,
            "notes": list(self.notes),
            **({"search": self.search.meaning()} if self.search else {}),
        }


def read_study(path: Path, settings: Mapping[str, Any] | None = None) -> Study:
    """Reads a study file.

    Args:
        path: The file.
        settings: What all runs set beside what the file says, such as where the data are.

    Raises:
        UsageError: If the file cannot be read, or does not describe a study; the message names file and key.
    """
    content = mapping(path)
    try:
        content["settings"] = {**a_mapping(content, "settings"), **(settings or {})}
        return _study(path, content)
    except UsageError as error:
        raise UsageError(f"{error.reason} (in {path})", error.key) from error


def _study(path: Path, content: Mapping[str, Any]) -> Study:
    if unknown := sorted(map(str, content.keys() - set(KEYS))):
        raise UsageError(f"no such key of a study{nearest(unknown[0], KEYS)}", unknown[0])
    axes = a_mapping(content, "axes")
    settings = _checked(content.get("settings") or {}, "settings")
    variants = _variants(content, axes)
    search = read_search(content, _metric(content)) if "search" in content else None
    if search:
        _checked({one.key: None for one in search.space}, "search.space")
        content = {"metric": search.objectives[0].metric, "seeds": 1, **content}
    names = [variant.name for variant in variants]
    return Study(
        name=path.stem,
        description=str(content.get("description", "")).strip(),
        base=tuple(_base(path, content)),
        settings=settings,
        axes=axes,
        variants=variants,
        seeds=_seeds(content),
        metric=_metric(content),
        epoch=one_of(content, "epoch", ("last", "best")),
        reference=a_name(content.get("reference"), "reference", names),
        baselines={
            task: a_name(name, f"baselines.{task}", names) or "" for task, name in _tasks(content).items()
        },
        budget=_budget(content, search),
        precision=str(content.get("precision") or ""),
        retries=a_number(content, "retries", 1),
        notes=tuple(map(str, a_list(content, "notes"))),
        search=search,
    )


def _base(path: Path, content: Mapping[str, Any]) -> list[Path]:
    given = content.get("base", [])
    files = [path.parent / name for name in ([given] if isinstance(given, str) else a_list(content, "base"))]
    for file in files:
        mapping(file)
    return files


def _variants(content: Mapping[str, Any], axes: Mapping[str, Any]) -> tuple[Variant, ...]:
    given = a_mapping(content, "variants")
    if not given and not axes and "search" not in content:
        raise UsageError("expected `axes`, `variants` or `search`, found none", "variants")
    if "formulas" in content and not axes:
        raise UsageError("expected `axes` beside it, whose factors formulas turn into settings", "formulas")
    named = [
        Variant(str(name), _checked(settings or {}, f"variants.{name}")) for name, settings in given.items()
    ]
    grid = crossed(axes, a_mapping(content, "formulas")) if axes else []
    for variant in grid:
        _checked(variant.settings, "axes")
    names = [variant.name for variant in (*named, *grid)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"expected names that differ, found {twice!r} twice", "variants")
    if bad := next((name for name in names if not name or set(name) & set("/\\\0") or name[0] == "."), None):
        raise UsageError(f"expected a name that can be a folder, found {bad!r}", "variants")
    if trial := next((name for name in names if re.fullmatch(r"trial_\d+", name)), None):
        raise UsageError(f"expected another name than {trial!r}, which a search gives", "variants")
    return (*named, *grid)


def _checked(settings: Any, key: str) -> dict[str, Any]:
    """The settings with dots, none of which the study decides otherwise."""
    if not isinstance(settings, dict):
        raise UsageError(f"expected settings such as model.beta: 0.3, found {settings!r}", key)
    for name in leaves(settings):
        if name in OWN:
            raise UsageError(
                "a study decides that by its own keys seeds, precision and budget", f"{key}.{name}"
            )
    for name in settings:
        if str(name).split(".")[0] not in ("model", "data", "trainer"):
            raise UsageError(f"expected a setting of model, data or trainer, found {name!r}", key)
    return {str(name): value for name, value in settings.items()}


def _seeds(content: Mapping[str, Any]) -> tuple[int, ...]:
    given = content.get("seeds", 3)
    seeds = list(range(given)) if isinstance(given, int) and not isinstance(given, bool) else given
    fine = isinstance(seeds, list) and seeds and all(type(s) is int and 0 <= s <= LARGEST for s in seeds)
    if not fine or len(set(seeds)) < len(seeds):
        raise UsageError(
            f"expected a number of seeds, or a list of different ones from 0 to {LARGEST}, found {given!r}",
            "seeds",
        )
    return tuple(seeds)


def _metric(content: Mapping[str, Any]) -> str:
    name = str(content.get("metric", "val/score"))
    if not name.startswith("val/"):
        raise UsageError(
            f"expected a figure of the validation, such as val/score, found {name!r}: the test split decides "
            "nothing",
            "metric",
        )
    if name.startswith("val/loss"):
        raise UsageError(f"expected a figure that `evaluate` measures, found {name!r}", "metric")
    return name


def _budget(content: Mapping[str, Any], search: Search | None) -> dict[str, float]:
    budget = a_mapping(content, "budget")
    if not budget:
        return {}
    if search and "minutes" in budget:
        raise UsageError("a search takes epochs or steps: the time of a step is measured alone", "budget")
    [(kind, amount), *more] = budget.items()
    if more or kind not in BUDGETS:
        raise UsageError(
            f"expected one of {', '.join(BUDGETS)}, found {', '.join(map(str, budget))}", "budget"
        )
    kinds = (int, float) if kind == "minutes" else (int,)
    if type(amount) not in kinds or amount <= 0:
        what = "number" if kind == "minutes" else "whole number"
        raise UsageError(f"expected a {what} above 0, found {amount!r}", f"budget.{kind}")
    return {kind: amount}


def _tasks(content: Mapping[str, Any]) -> dict[str, Any]:
    baselines = a_mapping(content, "baselines")
    if unknown := sorted(baselines.keys() - TASKS.keys()):
        raise UsageError(
            f"expected the task {' or '.join(TASKS)}, of whose figures Delta-m is made, found "
            f"{unknown[0]!r}: leave it out",
            f"baselines.{unknown[0]}",
        )
    return baselines
