"""What each variant costs, beside what it reaches."""

import math
from collections.abc import Sequence

from fusionseg.pages.blocks import Cell, Chart, Column, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.front import scatter_chart
from fusionseg.studies.report.facts import distinct
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import count, decimals, duration, mean_and_spread, shown
from fusionseg.studies.report.sections.optimism import chosen_mark, chosen_notes
from fusionseg.studies.run_result import RunResult
from fusionseg.studies.statistics import Interval, mean_interval

GIB = 2**30


def section(numbers: Analysis) -> Section | None:
    """The table of time, speed, size and memory, and a chart of quality against time."""
    asked = numbers.asked
    costs = {name: _costs(asked.finished(name)) for name in asked.variants if asked.finished(name)}
    if not any(cost["seconds"].count for cost in costs.values()):
        return None
    runs = [run for name in costs for run in asked.finished(name)]
    machines = distinct(runs, "devices")
    notes = ["Time: wall time of a run, validation included. Speed: training images a second."]
    if len(machines) > 1:
        notes.append(
            f"The runs were made on {count(len(machines), 'kind')} of device: their times are not comparable."
        )
    notes += chosen_notes(numbers, asked.metrics)
    memory = any(cost["memory"].count for cost in costs.values())
    metrics = asked.metrics
    columns = [
        Column("variant"),
        *(Column(title(metric), True) for metric in metrics),
        Column("time", True),
        Column("images/s", True),
        Column("parameters", True),
        *([Column("memory, GiB", True, "peak of a run")] if memory else []),
    ]
    rows = [_row(numbers, name, cost, memory) for name, cost in costs.items()]
    records = [_record(numbers, name, cost) for name, cost in costs.items()]
    table = Table("costs", "Cost beside quality.", columns, rows, records, notes)
    points = [
        {"variant": name, "x": cost["seconds"].mean / 60, "y": numbers.mean(name, asked.metric).mean}
        for name, cost in costs.items()
        if cost["seconds"].count and numbers.mean(name, asked.metric).count
    ]
    chart = scatter_chart(points, ("minutes of a run", title(asked.metric)))
    return Section(
        "Cost", [table, Chart("costs-chart", f"{title(asked.metric)} against the time of a run.", chart)]
    )


def _costs(runs: Sequence[RunResult]) -> dict[str, Interval]:
    """Mean and spread of what is on record."""
    keys = {
        "seconds": "seconds",
        "speed": "images_per_second",
        "parameters": "parameters",
        "memory": "peak_memory",
    }
    found = {}
    for name, key in keys.items():
        values = [run.summary.get(key) for run in runs]
        found[name] = mean_interval([float(value) for value in values if isinstance(value, int | float)])
    return found


def _row(numbers: Analysis, name: str, cost: dict[str, Interval], memory: bool) -> list[Cell]:
    means = [numbers.mean(name, metric) for metric in numbers.asked.metrics]
    variants = numbers.asked.variants
    digits = decimals(numbers.mean(v, metric).spread for v in variants for metric in numbers.asked.metrics)
    time = cost["seconds"]
    spread = f"\N{PLUS-MINUS SIGN} {duration(time.spread)}" if math.isfinite(time.spread) else ""
    cells = [Cell(name)]
    for metric, mean in zip(numbers.asked.metrics, means, strict=True):
        text = mean_and_spread(mean.mean, mean.spread, digits)
        cells.append(Cell(f"{text}{chosen_mark(numbers, name, metric)}", mean.mean))
    cells += [
        Cell(duration(time.mean), time.mean, detail=spread),
        Cell(shown(cost["speed"].mean, 1), cost["speed"].mean),
        Cell(_millions(cost["parameters"].mean), cost["parameters"].mean),
    ]
    if memory:
        cells.append(Cell(shown(cost["memory"].mean / GIB, 2), cost["memory"].mean))
    return cells


def _millions(parameters: float) -> str:
    return f"{parameters / 1e6:.2f} M" if math.isfinite(parameters) else shown(None)


def _record(numbers: Analysis, name: str, cost: dict[str, Interval]) -> dict[str, Value]:
    return {
        "variant": name,
        **{metric: numbers.mean(name, metric).mean for metric in numbers.asked.metrics},
        "seconds": cost["seconds"].mean,
        "seconds_spread": cost["seconds"].spread,
        "images_per_second": cost["speed"].mean,
        "parameters": cost["parameters"].mean,
        "peak_memory": cost["memory"].mean,
    }
