"""What it changes which epoch counts: the figures of each variant by several rules, side by side."""

import json
from collections.abc import Sequence
from typing import TypeGuard

from fusionseg.files.atomic import Json
from fusionseg.pages.blocks import Cell, Column, Section, Table, Value
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import bare, title
from fusionseg.studies.report.numbers import PLUS_MINUS, decimals, mean_and_spread, shown
from fusionseg.studies.run_result import RunResult
from fusionseg.studies.statistics import Interval, mean_interval

NOTES = (
    "Mean and standard deviation over seeds; below, those of the difference to the last epoch of each seed.",
    "Best epochs are chosen by the images that the figures are of, which makes these optimistic.",
)


def section(numbers: Analysis) -> Section | None:
    """A row for each variant and main figure; nothing where no variant has the rules of all its runs.

    A run has them in `selection_rules.json` if it was trained with the callback `SelectionRules`.
    """
    asked = numbers.asked
    every = {name: [_content(run) for run in asked.finished(name)] for name in asked.variants}
    known = {name: runs for name, runs in every.items() if runs and all(runs)}
    rules = _common([run["rules"] for runs in known.values() for run in runs])
    if not rules:
        return None
    main = {f"val/{bare(figure)}" for figure in (*asked.metrics, *numbers.headlines)}
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    for name, runs in known.items():
        for figure in _common([run["rules"][run["ours"]]["figures"] for run in runs]):
            found = {rule: _over_seeds(runs, rule, figure) for rule in rules}
            records += [_record(name, figure, rule, *both) for rule, both in found.items()]
            if figure in main and asked.trains(name, bare(figure)):
                rows.append([Cell(name), Cell(title(figure)), *(_cell(*both) for both in found.values())])
    columns = [Column("variant"), Column("figure")]
    columns += [Column(rule.replace("_", " "), True) for rule in rules]
    caption = "The main figures by several rules of which epoch counts."
    return Section("Selection rules", [Table("selection-rules", caption, columns, rows, records, NOTES)])


def _content(run: RunResult) -> Json:
    """What `selection_rules.json` of a run holds; empty without one that can be read and has that form."""
    try:
        content: object = json.loads(RunFolder(run.folder).selection.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if _is_written_by_us(content) else {}


def _is_written_by_us(content: object) -> TypeGuard[Json]:
    """Whether a JSON value has the form that the callback writes."""
    if not isinstance(content, dict) or not isinstance(rules := content.get("rules"), dict):
        return False
    ours = content.get("ours")
    return ours in list(rules) and all(
        isinstance(rule, dict)
        and _are_numbers(rule.get("figures"))
        and (name == ours or _are_numbers(rule.get("differences")))
        for name, rule in rules.items()
    )


def _are_numbers(figures: object) -> bool:
    """Whether a JSON value has a number for each of its names, or null for an undefined one."""
    return isinstance(figures, dict) and all(
        one is None or isinstance(one, int | float) for one in figures.values()
    )


def _common(several: Sequence[Json]) -> list[str]:
    """The keys that all of several objects have, in the order of the first."""
    return [key for key in (several[0] if several else ()) if all(key in one for one in several)]


def _over_seeds(runs: Sequence[Json], rule: str, figure: str) -> tuple[Interval, Interval | None]:
    """A figure by a rule, and its difference to ours where that is another; NaN where a run lacks it."""
    found = []
    for key in ("figures", "differences") if rule != runs[0]["ours"] else ("figures",):
        values = [run["rules"][rule][key].get(figure) for run in runs]
        found.append(mean_interval([float("nan") if value is None else value for value in values]))
    return found[0], found[1] if len(found) > 1 else None


def _cell(value: Interval, difference: Interval | None) -> Cell:
    """A mean with its spread, and below its difference with that one's."""
    digits = decimals([value.spread])
    text = mean_and_spread(value.mean, value.spread, digits)
    if difference is None:
        return Cell(text, value.mean)
    change = shown(difference.mean, digits, sign=True)
    spread = f" {PLUS_MINUS} {shown(difference.spread, digits)}" if difference.count > 1 else ""
    return Cell(text, value.mean, f"{change}{spread}")


def _record(
    variant: str, figure: str, rule: str, value: Interval, difference: Interval | None
) -> dict[str, Value]:
    """A row of the CSV file, with the 95 % interval of the mean difference."""
    row: dict[str, Value] = {"variant": variant, "metric": figure, "rule": rule}
    row |= {"mean": value.mean, "spread": value.spread}
    for name in ("mean", "spread", "low", "high"):
        row[f"difference_{name}"] = getattr(difference, name) if difference else None
    return row | {"seeds": value.count}
