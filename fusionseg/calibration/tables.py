"""The bins and the risk over coverage of measured probabilities, as rows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from fusionseg.calibration.measured import LEVELS, RELIABILITY, Measured
from fusionseg.files.csv_text import Value
from fusionseg.metrics.contingency import Floats, ratio
from fusionseg.metrics.risk_coverage import risk_coverage
from fusionseg.sample import Classes

Row: TypeAlias = dict[str, Value]

POINTS = 200
"""About the number of points of a curve of risk over coverage."""


def bins(measured: Sequence[Measured], classes: Classes) -> list[Row]:
    """Every bin of every reliability table: of the most likely class, of each class, and of boundaries.

    `of` is `most likely`, the name of a class, or `boundary`. `probability` is the mean of the bin's pixels,
    and `share` how many of them are so in truth; both are empty in empty bins.
    """
    rows: list[Row] = []
    for task, temperature, sums, _ in measured:
        tables = {"boundary" if task == "region" else "most likely": sums[RELIABILITY[task]]}
        if task == "semantic":
            tables |= dict(zip(classes.names, sums["class_calibration"], strict=True))
        for name, table in tables.items():
            edges = pairwise(np.linspace(0, 1, len(table) + 1).round(6).tolist())
            means = ratio(table[:, 1:], table[:, :1]).tolist()
            for (low, high), number, (probability, share) in zip(
                edges, table[:, 0].tolist(), means, strict=True
            ):
                place: Row = {"task": task, "temperature": temperature, "of": name, "low": low, "high": high}
                rows.append({**place, "pixels": int(number), "probability": probability, "share": share})
    return rows


def risk(measured: Sequence[Measured]) -> list[Row]:
    """The points of the curves of risk over coverage."""
    return [
        {"task": one.task, "temperature": one.temperature, "coverage": coverage, "risk": risk}
        for one in measured
        for coverage, risk in np.stack(risk_curve(one), 1).tolist()
    ]


def risk_curve(measured: Measured) -> tuple[Floats, Floats]:
    """Coverage and risk at about `POINTS` points, about evenly over coverage, the last one included."""
    coverage, risk = risk_coverage(measured.sums[LEVELS[measured.task]])
    chosen = np.unique(np.searchsorted(coverage, np.linspace(0, 1, POINTS)).clip(max=len(coverage) - 1))
    return coverage[chosen], risk[chosen]
