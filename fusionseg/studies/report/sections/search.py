"""The trials of a search: the best ones with their parameters, and which parameters matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.pages.blocks import Block, Cell, Column, Section, Table, Value, Words
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import count, listed, shown
from fusionseg.studies.search.importance import best_share, importances
from fusionseg.studies.search.samplers import INSTALL
from fusionseg.studies.statistics import pareto_front

SHOWN = 10
"""So many of the best trials are shown."""


@dataclass(frozen=True)
class Trial:
    """A complete trial.

    Attributes:
        name: The name of its variant.
        point: Its parameters.
        values: Its objectives, means over seeds.
        best: Whether no other is better, in both objectives where there are two.
    """

    name: str
    point: Mapping[str, Any]
    values: tuple[float, ...]
    best: bool = False


def section(numbers: Analysis) -> Section | None:
    """What the search found; nothing where a study has none, or no trial is complete."""
    search = numbers.asked.results.declared.get("search")
    trials = _trials(numbers, search) if search else []
    if not search or not trials:
        return None
    blocks: list[Block] = [Words(_words(numbers, search, trials)), _table(search, trials)]
    return Section("Search", blocks + _importances(search, trials))


def _trials(numbers: Analysis, search: Json) -> list[Trial]:
    """The complete trials, the best first."""
    asked = numbers.asked
    metrics = [one["metric"] for one in search["objectives"]]
    signs = [-1 if one["direction"] == "minimize" else 1 for one in search["objectives"]]
    found = []
    for name in _drawn(numbers):
        values = tuple(numbers.mean(name, metric).mean for metric in metrics)
        if name in asked.variants and not any(asked.lacking(name, metric) for metric in metrics):
            found.append(Trial(name, next(iter(asked.results.of(name).values())).point, values))
    gains = [tuple(sign * value for sign, value in zip(signs, one.values, strict=True)) for one in found]
    front = pareto_front(gains) if len(signs) == 2 else [gain == max(gains) for gain in gains]
    marked = [Trial(one.name, one.point, one.values, bool(on)) for one, on in zip(found, front, strict=True)]
    order = sorted(range(len(marked)), key=lambda i: (not marked[i].best, [-gain for gain in gains[i]]))
    return [marked[i] for i in order]


def _drawn(numbers: Analysis) -> list[str]:
    """The names of all trials."""
    return [one["name"] for one in numbers.asked.results.declared["variants"] if "trial" in one]


def _words(numbers: Analysis, search: Json, trials: Sequence[Trial]) -> list[str]:
    asked = numbers.asked
    declared = [one for one in asked.results.declared["variants"] if "trial" in one]
    unbuilt = [one for one in declared if "error" in one]
    pruned = [one["name"] for one in declared if one["name"] in asked.pruned]
    other = len(declared) - len(trials) - len(pruned) - len(unbuilt)
    parts = [f"{len(trials)} complete", f"{len(pruned)} pruned"]
    parts += [f"{len(unbuilt)} that could not be built"] if unbuilt else []
    parts += [f"{other} failed or not ended"] if other else []
    lines = [
        f"{count(len(declared), 'trial')} of {count(len(search['space']), 'parameter')}, drawn by "
        f"{search['sampler']['class_path']}: {listed(parts)}."
    ]
    best = [one.name for one in trials if one.best]
    tried = count(len(declared) - len(unbuilt), "trial")
    metrics = listed(title(one["metric"]) for one in search["objectives"])
    lines.append(
        f"The figures of {listed(best, 4)} are optimistic: the best of {tried} by {metrics}, on the images "
        "and seeds that chose it, and the more so the more trials there are. Run it with further seeds as a "
        "variant of a study, and measure it on the test split once (--final)."
    )
    lines += [f"{one['name']} could not be built: {one['error']}" for one in unbuilt[:3]]
    return lines


def _table(search: Json, trials: Sequence[Trial]) -> Table:
    keys = list(search["space"])
    titles = [title(one["metric"]) for one in search["objectives"]]
    several = len(titles) > 1
    most = max(SHOWN, sum(one.best for one in trials)) if several else SHOWN
    columns = [
        Column("trial"),
        *(Column(name, True) for name in titles),
        *([Column("on the front")] if several else []),
        *(Column(key.rpartition(".")[2], hint=key) for key in keys),
    ]
    rows = [
        [
            Cell(one.name),
            *(Cell(shown(value, 4), value) for value in one.values),
            *([Cell("yes" if one.best else "no")] if several else []),
            *(_parameter(one.point[key]) for key in keys),
        ]
        for one in trials[:most]
    ]
    records: list[dict[str, Value]] = [
        {
            "trial": one.name,
            **dict(zip(titles, one.values, strict=True)),
            **({"front": one.best} if several else {}),
            **one.point,
        }
        for one in trials
    ]
    what = "The Pareto-optimal trials first" if several else "The best trials first"
    caption = f"{what}: {min(most, len(trials))} of {len(trials)} that are complete (all in the CSV file)."
    return Table("trials", caption, columns, rows, records)


def _parameter(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(f"{value:.4g}", value)
    return Cell("null" if value is None else str(value), value)


def _importances(search: Json, trials: Sequence[Trial]) -> list[Block]:
    try:
        found = importances(search, [one.point for one in trials], [one.values[0] for one in trials])
    except ImportError:
        return [Words([f"The importance of the parameters needs optuna: {INSTALL}"])]
    if not found:
        return []
    rows = [[Cell(key), Cell(shown(value, 2), value)] for key, value in found.items()]
    records: list[dict[str, Value]] = [
        {"parameter": key, "importance": value} for key, value in found.items()
    ]
    metric = title(search["objectives"][0]["metric"])
    caption = f"Importance of the parameters for {metric}, after PED-ANOVA."
    notes = [
        f"How much each decides whether a trial is among the best {100 * best_share(len(trials)):.0f} % of "
        f"{count(len(trials), 'complete trial')}; the sum is 1. It is rough where trials are few."
    ]
    columns = [Column("parameter", code=True), Column("importance", True)]
    return [Table("importances", caption, columns, rows, records, notes)]
