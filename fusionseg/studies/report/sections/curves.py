"""Learning curves: the validated figures and the loss over epochs, with bands over seeds."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from fusionseg.pages.blocks import Block, Chart, Section
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.curves import BANDS, curves_chart
from fusionseg.studies.report.figures import bare, title
from fusionseg.studies.run_result import RunResult

POINTS = 100
"""So many epochs are drawn, evenly chosen, where there are more."""


def section(numbers: Analysis) -> Section | None:
    """A chart of each deciding figure and of the training loss; nothing where no run has logged any."""
    asked = numbers.asked
    names = [f"val/{bare(metric)}" for metric in asked.metrics]
    blocks: list[Block] = []
    logged = {name: [_logged(run) for run in asked.finished(name)] for name in asked.variants}
    for figure in dict.fromkeys([*names, "train/loss"]):
        trained = [name for name in logged if asked.trains(name, bare(figure))]
        rows = [row for name in trained for row in _rows(name, figure, logged[name])]
        if not rows:
            continue
        having = [name for name in asked.variants if any(row["variant"] == name for row in rows)]
        band = ", with a band from the lowest to the highest seed" if len(having) <= BANDS else ""
        caption = f"{title(figure)} by epoch: mean over seeds{band}."
        name = f"curves-{figure.replace('/', '-')}"
        blocks.append(Chart(name, caption, curves_chart(rows, having, title(figure))))
    return Section("Learning curves", blocks) if blocks else None


Logged = Mapping[str, Mapping[int, float]]
"""The values of a run by figure and epoch."""


def _logged(run: RunResult) -> Logged:
    """The values of `metrics.csv`; where an epoch has several, such as of the loss, the last."""
    path: Path = RunFolder(run.folder).metrics
    values: dict[str, dict[int, float]] = {}
    if not path.is_file():
        return values
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            epoch = row.get("epoch")
            for name, text in row.items() if epoch else ():
                if text and name not in ("epoch", "step"):
                    values.setdefault(name, {})[int(float(str(epoch)))] = float(text)
    return values


def _rows(variant: str, figure: str, runs: Iterable[Logged]) -> list[dict[str, object]]:
    """Mean and range over the seeds of a variant by epoch."""
    curves = [run[figure] for run in runs if figure in run]
    epochs = sorted({epoch for curve in curves for epoch in curve})
    kept = epochs[:: math.ceil(len(epochs) / POINTS)] if epochs else []
    rows: list[dict[str, object]] = []
    for epoch in dict.fromkeys([*kept, *epochs[-1:]]):
        values = [curve[epoch] for curve in curves if math.isfinite(curve.get(epoch, math.nan))]
        if values:
            ends = {"low": round(min(values), 5), "high": round(max(values), 5)}
            mean = round(sum(values) / len(values), 5)
            # people count epochs from 1
            rows.append({"variant": variant, "epoch": epoch + 1, "mean": mean, **ends, "seeds": len(values)})
    return rows
