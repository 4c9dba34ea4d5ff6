"""Reliability diagrams with histograms of confidence, and curves of risk over coverage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fusionseg.calibration.measured import RELIABILITY, Measured
from fusionseg.calibration.tables import risk_curve
from fusionseg.metrics.contingency import ratio

if TYPE_CHECKING:  # importing matplotlib takes half a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#2f6db3"
RED = "#c8473f"
GRAY = "0.55"

TITLES = {"semantic": "classes", "region": "boundaries"}
AXES = {
    "semantic": ("confidence", "accuracy"),
    "region": ("probability of a boundary", "share of boundary pixels"),
}
PREFIX = {"semantic": "", "region": "boundary_"}
"""Of the names of a task's figures."""


def diagram(measured: Sequence[Measured]) -> "Figure":
    """A row for each task: reliability, with its temperature and without, and risk over coverage.

    Args:
        measured: What was measured, those of one task after each other.
    """
    from matplotlib.figure import Figure

    tasks = {
        task: [one for one in measured if one.task == task]
        for task in dict.fromkeys(m.task for m in measured)
    }
    columns = 1 + max(map(len, tasks.values()))
    figure = Figure((4.2 * columns, 4.6 * len(tasks)), layout="constrained")
    grid = figure.add_gridspec(len(tasks), columns)
    for row, versions in enumerate(tasks.values()):
        for column, one in enumerate(versions):
            cells = grid[row, column].subgridspec(2, 1, height_ratios=(3, 1))
            upper = figure.add_subplot(cells[0])
            _draw_reliability(upper, one, len(versions) > 1)
            _draw_histogram(figure.add_subplot(cells[1], sharex=upper), one)
        _draw_risk(figure.add_subplot(grid[row, len(versions)]), versions)
    return figure


def _draw_reliability(axes: "Axes", one: Measured, named: bool) -> None:
    """Bars of how often predictions of each bin came true, with what is missing to their mean probability."""
    table = one.sums[RELIABILITY[one.task]]
    mean, share = np.nan_to_num(ratio(table[:, 1:], table[:, :1])).T
    left = np.arange(len(table)) / len(table)
    bar = {"width": 1 / len(table), "align": "edge", "linewidth": 0.5}
    axes.plot([0, 1], [0, 1], "--", color=GRAY, linewidth=1)
    axes.bar(left, share, color=BLUE, edgecolor="white", label="measured", **bar)  # type: ignore[arg-type]
    gap = {"bottom": np.minimum(share, mean), "height": np.abs(mean - share)}
    axes.bar(left, color=(RED, 0.3), hatch="///", edgecolor=RED, label="gap", **gap, **bar)  # type: ignore[arg-type]
    error = one.figures[f"{PREFIX[one.task]}ece"]
    temperature = f", temperature {one.temperature:.3g}" if named else ""
    axes.set(title=f"{TITLES[one.task]}{temperature}: ECE {error:.4f}", xlim=(0, 1), ylim=(0, 1))
    axes.set_ylabel(AXES[one.task][1])
    axes.tick_params(labelbottom=False)
    axes.legend(loc="upper left", frameon=False)


def _draw_histogram(axes: "Axes", one: Measured) -> None:
    """Bars of the share of pixels in each bin."""
    number = one.sums[RELIABILITY[one.task]][:, 0]
    left = np.arange(len(number)) / len(number)
    axes.bar(left, ratio(number, number.sum()), 1 / len(number), align="edge", color=GRAY, edgecolor="white")
    axes.set(xlabel=AXES[one.task][0], ylabel="share of pixels", xlim=(0, 1), ylim=(0, None))


def _draw_risk(axes: "Axes", versions: Sequence[Measured]) -> None:
    """The curve of each version; that without a temperature is dashed."""
    for one, style in zip(versions, ("-", "--"), strict=False):
        area = one.figures[f"{PREFIX[one.task]}aurc"]
        label = f"AURC {area:.4f}" + (f", temperature {one.temperature:.3g}" if len(versions) > 1 else "")
        axes.plot(*risk_curve(one), style, color=BLUE if style == "-" else RED, label=label)
    axes.set(title=f"{TITLES[versions[0].task]}: risk over coverage", xlabel="coverage", ylabel="risk")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.legend(loc="upper left", frameon=False)
