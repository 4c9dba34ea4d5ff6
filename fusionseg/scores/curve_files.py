"""A curve of precision over recall as a picture and as an interactive page."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fusionseg.files.atomic import Json, replacing, write_text
from fusionseg.pages.blocks import Chart, Section
from fusionseg.pages.charts import tip
from fusionseg.pages.page import page
from fusionseg.scores.result import Curve

LINE = "#2f6db3"
MARKS = ("#c8473f", "#3a8f4d")


def write_picture(curve: Curve, path: Path) -> Path:
    """Draws the curve over lines of equal F-measure, as the Berkeley benchmark does."""
    figure = Figure((5, 5), layout="constrained")
    axes = figure.subplots()
    grid = np.linspace(0.001, 1, 300)
    recall, precision = np.meshgrid(grid, grid)
    f = 2 * precision * recall / (precision + recall)
    contours = axes.contour(recall, precision, f, np.arange(1, 10) / 10, colors="0.85", linewidths=0.8)
    axes.clabel(contours, fontsize=7, colors="0.6", fmt="%.1f")
    points = [point for point in curve.points if point["precision"] or point["recall"]]
    axes.plot(
        [p["recall"] for p in points],
        [p["precision"] for p in points],
        color=LINE,
        linewidth=2,
        marker=".",
        markersize=3,
    )
    for (name, (best_precision, best_recall)), color in zip(curve.best.items(), MARKS, strict=False):
        value = 2 * best_precision * best_recall / max(best_precision + best_recall, 1e-12)
        axes.plot(
            [best_recall],
            [best_precision],
            "o",
            color=color,
            markersize=7,
            label=f"{name.upper()} {value:.3f}",
        )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), title=curve.title, aspect="equal")
    axes.legend(loc="lower left", frameon=False)
    with replacing(path) as draft:
        figure.savefig(draft, dpi=150)
    return path


def write_page(curve: Curve, path: Path) -> Path:
    """Writes the curve as a page that opens without a network and tells each point where the pointer rests.

    Raises:
        UsageError: If a package is missing that it takes.
    """
    chart = Chart("curve", f"{curve.title}: precision over recall at each threshold", _spec(curve))
    write_text(path, page(curve.title, [], f"{len(curve.points)} thresholds", [Section("Curve", [chart])]))
    return path


def _spec(curve: Curve) -> Json:
    """The curve in Vega-Lite."""
    axis = {"type": "quantitative", "scale": {"domain": [0, 1]}}
    place = {
        "x": {"field": "recall", "title": "recall", **axis},
        "y": {"field": "precision", "title": "precision", **axis},
    }
    tips = [tip(name, name, ".4f") for name in ("threshold", "precision", "recall", "f")]
    points = [dict(point) for point in curve.points if point["precision"] or point["recall"]]
    line = {
        "data": {"values": points},
        "mark": {"type": "line", "point": {"size": 30}, "color": LINE},
        "encoding": {**place, "order": {"field": "threshold"}, "tooltip": tips},
    }
    marked = [{"name": name.upper(), "precision": p, "recall": r} for name, (p, r) in curve.best.items()]
    colors = {
        "field": "name",
        "type": "nominal",
        "title": None,
        "scale": {"range": list(MARKS)},
        "legend": {"orient": "top"},
    }
    marks = {
        "data": {"values": marked},
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {**place, "color": colors, "tooltip": [tip("name", "point"), *tips[1:3]]},
    }
    return {"width": 460, "height": 460, "layer": [line, marks]}
