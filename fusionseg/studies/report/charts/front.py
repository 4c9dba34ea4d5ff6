"""Two figures against each other, with the front of what no other variant dominates."""

import math
from collections.abc import Mapping, Sequence

from fusionseg.files.atomic import Json
from fusionseg.pages.charts import FLUID, drawn, quantity, tip
from fusionseg.studies.report.charts.labels import named

HEIGHT = 360
"""Of a chart, in pixels."""

STYLES = {
    "variant": ("#4c78a8", "circle"),
    "chosen": ("#c8473f", "diamond"),
    "adaptive balancer": ("#b9770e", "square"),
}
"""Color and shape of each kind of variant."""


def front_chart(points: Sequence[Mapping[str, object]], titles: tuple[str, str]) -> Json:
    """A point for each variant with intervals in both directions, and the front as steps.

    Args:
        points: `variant`, `x`, `y`, the ends of their intervals `x_low`, `x_high`, `y_low` and `y_high`,
            whether it is on the `front`, its `distance` to it, and its `kind`: "variant", "adaptive balancer"
            or "chosen".
        titles: What the two figures are called.
    """
    front = sorted((p for p in points if p["front"]), key=lambda p: float(str(p["x"])))
    place = {"x": quantity("x", titles[0]), "y": quantity("y", titles[1])}
    steps = {
        "data": {"values": [{"x": p["x"], "y": p["y"]} for p in front]},
        "mark": {"type": "line", "interpolate": "step-before", "strokeDash": [4, 3], "opacity": 0.7},
        "encoding": place,
    }
    marks = {
        "data": {"values": list(points)},
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "encoding": {**place, **_kinds(points), "tooltip": _tips(titles)},
    }
    bars = [_bars(points, "x", titles), _bars(points, "y", titles)]
    return {**FLUID, "height": HEIGHT, "layer": drawn([steps, *bars, marks, *named(points, place, HEIGHT)])}


def _kinds(points: Sequence[Mapping[str, object]]) -> Json:
    """Color and shape by the kind of variant, as far as there are several."""
    kinds = [kind for kind in STYLES if any(p["kind"] == kind for p in points)]
    legend = {"orient": "top"} if len(kinds) > 1 else None
    kind = {"field": "kind", "type": "nominal", "title": None, "legend": legend}
    colors = [STYLES[name][0] for name in kinds]
    shapes = [STYLES[name][1] for name in kinds]
    return {
        "color": {**kind, "scale": {"domain": kinds, "range": colors}},
        "shape": {**kind, "scale": {"domain": kinds, "range": shapes}},
    }


def _tips(titles: tuple[str, str]) -> list[Json]:
    return [
        tip("variant", "variant"),
        tip("x", titles[0], ".4f"),
        tip("y", titles[1], ".4f"),
        tip("kind", "kind"),
        tip("distance", "distance to the front", ".4f"),
    ]


def scatter_chart(points: Sequence[Mapping[str, object]], titles: tuple[str, str]) -> Json:
    """A point for each variant, with its name.

    Args:
        points: `variant`, `x` and `y`.
        titles: What the axes are called.
    """
    x = quantity("x", titles[0])
    x["scale"] = {"zero": False, "padding": 40}
    encoding = {"x": x, "y": {**quantity("y", titles[1]), "scale": {"zero": False, "padding": 20}}}
    tips = [tip("variant", "variant"), tip("x", titles[0], ".4~g"), tip("y", titles[1], ".4f")]
    marks = {
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "encoding": {**encoding, "tooltip": tips},
    }
    layers = [marks, *named(points, encoding, HEIGHT)]
    return {**FLUID, "height": HEIGHT, "data": {"values": list(points)}, "layer": layers}


def _bars(points: Sequence[Mapping[str, object]], along: str, titles: tuple[str, str]) -> Json:
    """The intervals of all points along one axis."""
    known = [p for p in points if math.isfinite(float(str(p[f"{along}_low"])))]
    other = "y" if along == "x" else "x"
    title = dict(zip("xy", titles, strict=True))
    encoding = {
        along: quantity(f"{along}_low", title[along]),
        f"{along}2": {"field": f"{along}_high"},
        other: quantity(other, title[other]),
    }
    return {"data": {"values": known}, "mark": {"type": "rule", "opacity": 0.35}, "encoding": encoding}
