"""Figures over epochs or over an axis of the study, with bands over seeds."""

import math
from collections.abc import Mapping, Sequence

from fusionseg.files.atomic import Json
from fusionseg.pages.charts import FLUID, color_of, drawn, tip

BANDS = 6
"""Up to so many variants have bands: more would hide each other."""


def curves_chart(rows: Sequence[Mapping[str, object]], variants: Sequence[str], title: str) -> Json:
    """The mean over seeds of each variant by epoch, with a band from the lowest to the highest seed.

    Args:
        rows: `variant`, `epoch`, `mean`, `low`, `high` and `seeds` of each.
        variants: The variants in their order.
        title: What the figure is called.
    """
    x = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}}
    y = {"type": "quantitative", "title": title, "scale": {"zero": False}}
    color = color_of(list(variants))
    tips = [
        tip("variant", "variant"),
        tip("epoch", "epoch"),
        *(tip(name, name, ".4f") for name in ("mean", "low", "high")),
        tip("seeds", "seeds"),
    ]
    picked = {"name": "picked", "select": {"type": "point", "fields": ["variant"]}, "bind": "legend"}
    line = {
        "params": [picked],
        "mark": {"type": "line", "strokeWidth": 1.8},
        "encoding": {"y": {**y, "field": "mean"}, "opacity": _picked(1, 0.12)},
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 16},
        "encoding": {"y": {**y, "field": "mean"}, "opacity": _picked(1, 0.12), "tooltip": tips},
    }
    band = {
        "mark": {"type": "area"},
        "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "opacity": _picked(0.16, 0.02)},
    }
    return {
        **FLUID,
        "height": 260,
        "data": {"values": list(rows)},
        "encoding": {"x": x, "color": color},
        "layer": [band, line, point] if len(variants) <= BANDS else [line, point],
    }


def _picked(opacity: float, otherwise: float) -> Json:
    """The opacity of what is picked in the legend, or of all where nothing is, and that of the rest."""
    return {"condition": {"param": "picked", "empty": True, "value": opacity}, "value": otherwise}


def axis_chart(rows: Sequence[Mapping[str, object]], axis: str, order: Sequence[object], title: str) -> Json:
    """A figure over the values of one axis of the study, with intervals.

    Args:
        rows: `x`, `variant`, `mean`, `low` and `high` of each variant.
        axis: What the axis is called.
        order: Its values in their order.
        title: What the figure is called.
    """
    x = {"field": "x", "type": "ordinal", "sort": list(order), "title": axis, "axis": {"labelAngle": 0}}
    y = {"type": "quantitative", "title": title, "scale": {"zero": False}}
    tips = [tip("variant", "variant"), *(tip(name, name, ".4f") for name in ("mean", "low", "high"))]
    mean = {**y, "field": "mean"}
    line = {"mark": {"type": "line", "opacity": 0.5}, "encoding": {"y": mean}}
    interval = {
        "data": {"values": [row for row in rows if math.isfinite(float(str(row["low"])))]},
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "tooltip": tips},
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "encoding": {"y": mean, "tooltip": tips},
    }
    layers = drawn([line, interval, point])
    return {**FLUID, "height": 260, "data": {"values": list(rows)}, "encoding": {"x": x}, "layer": layers}
