"""What joint training gains over single-task baselines: Delta-m with its interval."""

from collections.abc import Mapping
from dataclasses import dataclass

from fusionseg.pages.blocks import Cell, Column, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import interval, listed, shown
from fusionseg.studies.statistics import DeltaM, delta_m
from fusionseg.studies.study_file import TASKS


@dataclass(frozen=True)
class Gains:
    """Delta-m of every joint variant.

    Attributes:
        of: By variant.
        baselines: The single-task variant of each task.
        figures: The figure that stands for each task.
    """

    of: Mapping[str, DeltaM]
    baselines: Mapping[str, str]
    figures: Mapping[str, str]


def section(numbers: Analysis) -> Section | None:
    """The table of Delta-m; nothing without a baseline for two tasks, or a variant that has both."""
    found = gains(numbers)
    return Section("Gain over single tasks", [_table(found)]) if found.of else None


def gains(numbers: Analysis) -> Gains:
    """Delta-m of the variants that have the tasks of all baselines; of none where there are fewer than two.

    Args:
        numbers: The numbers of the report.
    """
    asked = numbers.asked
    declared = asked.results.declared.get("baselines") or {}
    baselines = {task: name for task, name in declared.items() if task in TASKS and name in asked.variants}
    figures = {task: f"{asked.split}/{TASKS[task]}" for task in baselines}
    joint = [
        name
        for name in asked.variants
        if name not in baselines.values() and all(asked.counts(name, figure) for figure in figures.values())
    ]
    found = {
        name: delta_m(
            {task: _planned(numbers, name, figure) for task, figure in figures.items()},
            {task: _planned(numbers, baselines[task], figure) for task, figure in figures.items()},
        )
        for name in (joint if len(baselines) > 1 else ())
    }
    return Gains(found, baselines, figures)


def _planned(numbers: Analysis, variant: str, figure: str) -> dict[int, float]:
    """The figure of every planned seed, NaN where it is missing."""
    known = numbers.asked.results.figures(variant, figure)
    return {seed: known.get(seed, float("nan")) for seed in numbers.asked.seeds}


def _table(found: Gains) -> Table:
    against = {task: f"against {name}" for task, name in found.baselines.items()}
    columns = [
        Column("variant"),
        Column("Delta-m, %", True, "mean relative gain over the tasks"),
        Column("interval", True, "95 % interval over seeds"),
        *(Column(f"{title(found.figures[task])}, %", True, hint) for task, hint in against.items()),
        Column("seeds", True),
    ]
    rows = [_row(name, gain) for name, gain in found.of.items()]
    records = [_record(name, gain) for name, gain in found.of.items()]
    over = listed(f"{name} ({task})" for task, name in found.baselines.items())
    notes = [
        f"Relative gain over {over}, in percent, of each seed against the baselines of that seed, averaged "
        "over tasks (Maninis et al. 2019). Positive where the joint model is better."
    ]
    return Table("delta-m", "Gain over single-task baselines.", columns, rows, records, notes)


def _row(name: str, gain: DeltaM) -> list[Cell]:
    low, high = 100 * gain.interval.low, 100 * gain.interval.high
    detail = f"without {', '.join(map(str, gain.missing))}" if gain.missing else ""
    return [
        Cell(name),
        Cell(shown(100 * gain.value, 1, sign=True), gain.value),
        Cell(interval(low, high, 1, sign=True) or shown(None), gain.interval.low),
        *(Cell(shown(100 * value, 1, sign=True), value) for value in gain.tasks.values()),
        Cell(str(len(gain.seeds)), len(gain.seeds), detail=detail),
    ]


def _record(name: str, gain: DeltaM) -> dict[str, Value]:
    return {
        "variant": name,
        "delta_m": gain.value,
        "low": gain.interval.low,
        "high": gain.interval.high,
        **{f"gain_{task}": value for task, value in gain.tasks.items()},
        "seeds": len(gain.seeds),
        "missing": " ".join(map(str, gain.missing)),
    }
