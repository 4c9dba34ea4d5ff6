"""Draws figures against severity: of one run a line for each family, of several a line for each run."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from fusionseg.files.atomic import replacing
from fusionseg.robustness.comparison import Comparison

if TYPE_CHECKING:  # importing matplotlib takes half a second
    from matplotlib.axes import Axes

MEAN = "mean of families"


def write_picture(comparison: Comparison, path: Path) -> None:
    """Draws mIoU, covering and panoptic quality against severity, clean images being severity 0.

    Families that training shows too are dashed and no part of the mean.

    Args:
        comparison: What is drawn.
        path: The PNG file.
    """
    from matplotlib.figure import Figure

    several = len(comparison.runs) > 1
    kinds = [*comparison.families, None] if several else [None]
    figures = list(comparison.figures.items())
    rows, columns = (len(figures), len(kinds)) if several else (1, len(figures))
    size = (1 + 2.2 * columns, 0.8 + 2.2 * rows) if several else (1 + 4.2 * columns, 4.6)
    figure = Figure(size, dpi=110, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey="row" if several else False)
    for i, (name, shown) in enumerate(figures):
        for j, family in enumerate(kinds):
            axes = grid[i][j] if several else grid[0][i]
            if several:
                _draw_runs(axes, comparison, name, family)
                axes.set_title(_title(comparison, family) if i == 0 else "", fontsize=10)
                axes.set_ylabel(shown if j == 0 else "")
            else:
                _draw_families(axes, comparison, name)
                axes.set_title(shown)
            _label_axes(axes, comparison, name, last=not several or i == rows - 1)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    with replacing(path) as draft:
        figure.savefig(draft)


def _draw_runs(axes: "Axes", comparison: Comparison, figure: str, family: str | None) -> None:
    """Draws a line for each run: of a family, or of the mean over families."""
    for run in comparison.runs:
        curve = comparison.curve(run, figure, family)
        axes.plot([0, *comparison.severities], curve, marker=".", label=run)


def _draw_families(axes: "Axes", comparison: Comparison, figure: str) -> None:
    """Draws a line for each family of the only run, and one for their mean."""
    [run] = comparison.runs
    at = [0, *comparison.severities]
    for family in comparison.families:
        style = "--" if family in comparison.left_out else "-"
        curve = comparison.curve(run, figure, family)
        axes.plot(at, curve, style, marker=".", linewidth=1.2, label=_title(comparison, family))
    if comparison.names():
        axes.plot(at, comparison.curve(run, figure), color="black", linewidth=2.4, label=MEAN)


def _title(comparison: Comparison, family: str | None) -> str:
    """What a family is called."""
    if family is None:
        return MEAN
    return f"{family} (in training)" if family in comparison.left_out else family


def _label_axes(axes: "Axes", comparison: Comparison, figure: str, last: bool) -> None:
    """Names the x axis of the last row; the y axis begins at 0 and has room for every curve."""
    at = [0, *comparison.severities]
    curves = [
        comparison.curve(run, figure, family)
        for run in comparison.runs
        for family in (*comparison.families, None)
    ]
    top = max((value for curve in curves for value in curve if not math.isnan(value)), default=1.0)
    axes.set_xticks(at, ["clean", *map(str, comparison.severities)], fontsize=8)
    axes.set_xlabel("severity" if last else "", fontsize=9)
    axes.set_ylim(0, 1.05 * top or 1.0)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
