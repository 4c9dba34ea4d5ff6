"""What joint training gains over single-task baselines: Delta-m with its interval."""

from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.blocks import Cell, Column, Section, Table, Value
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import interval, listed, shown
from fusionseg.studies.statistics import DeltaM, delta_m

TASKS = {"semantic": "miou", "region": "covering"}
"""The figure that stands for a task."""


def section(numbers: Analysis) -> Section | None:
    """The table of Delta-m; nothing without a baseline for two tasks, or a variant that has both."""
    asked = numbers.asked
    declared = asked.results.declared.get("baselines") or {}
    baselines = {task: name for task, name in declared.items() if task in TASKS and name in asked.variants}
    figures = {task: f"{asked.split}/{TASKS[task]}" for task in baselines}
    joint = [
        name
        for name in asked.variants
        if name not in baselines.values() and all(asked.counts(name, figure) for figure in figures.values())
    ]
    if len(baselines) < 2 or not joint:
        return None
    gains = {
        name: delta_m(
            {task: _planned(numbers, name, figure) for task, figure in figures.items()},
            {task: _planned(numbers, baselines[task], figure) for task, figure in figures.items()},
        )
        for name in joint
    }
    return Section("Gain over single tasks", [_table(gains, baselines, figures)])


def _planned(numbers: Analysis, variant: str, figure: str) -> dict[int, float]:
    """The figure of every planned seed, NaN where it is missing."""
    known = numbers.asked.results.figures(variant, figure)
    return {seed: known.get(seed, float("nan")) for seed in numbers.asked.seeds}


def _table(gains: dict[str, DeltaM], baselines: dict[str, str], figures: dict[str, str]) -> Table:
    columns = [
        Column("variant"),
        Column("Delta-m, %", True, "mean relative gain over the tasks"),
        Column("interval", True, "95 % interval over seeds"),
        *(Column(f"{title(figures[task])}, %", True, f"against {name}") for task, name in baselines.items()),
        Column("seeds", True),
    ]
    rows = [_row(name, gain) for name, gain in gains.items()]
    records = [_record(name, gain) for name, gain in gains.items()]
    against = listed(f"{name} ({task})" for task, name in baselines.items())
    notes = [
        f"Relative gain over {against}, in percent, of each seed against the baselines of that seed, "
        "averaged over tasks (Maninis et al. 2019). Positive where the joint model is better."
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
