"""Charts of frequencies of classes, numbers of regions and their areas, each split in its color."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fusionseg.files.atomic import Json
from fusionseg.pages.charts import FLUID, drawn, tip

STEP = 18
"""Height of a class in pixels."""

BINS = 30
"""Bins of a histogram, at most."""

HEIGHT = 200

_POWERS = [10.0**-power for power in range(10)]
"""Where the axes of shares have lines."""


def frequencies_chart(shares: Mapping[str, Sequence[float]], names: Sequence[str]) -> Json:
    """A point for each class and split on a logarithmic axis; a class without a pixel has none.

    Args:
        shares: The share of each class by split.
        names: The names of the classes, from top to bottom.
    """
    points = [
        {"split": split, "class": name, "share": share}
        for split, column in shares.items()
        for name, share in zip(names, column, strict=True)
        if share > 0
    ]
    x = {
        "field": "share",
        "type": "quantitative",
        "title": "share of the labelled pixels",
        "scale": {"type": "log"},
        "axis": {"format": "~%", "values": _POWERS},
    }
    y = {
        "field": "class",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(names)},
        "axis": {"grid": True},
    }
    tips = [tip("class", "class"), tip("split", "split"), tip("share", "share", ".3~%")]
    return {
        **FLUID,
        "height": STEP * len(names),
        "data": {"values": points},
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 0.85},
        "encoding": {
            "x": x,
            "y": y,
            "color": _split(list(shares)),
            "tooltip": tips,
        },
    }


def numbers_chart(numbers: Mapping[str, npt.NDArray[np.int64]]) -> Json:
    """The distribution of the number of regions of an image.

    Args:
        numbers: The number of regions of each image, by split.
    """
    most = max(int(column.max()) for column in numbers.values())
    width = max(1, math.ceil((most + 1) / BINS))
    edges = np.arange(0, most + width + 1, width)
    x = {"scale": {"zero": True}, "axis": {"tickMinStep": 1, "labelOverlap": True}}
    return _histogram(numbers, edges, "regions of an image", "share of the images", x)


def areas_chart(areas: Mapping[str, npt.NDArray[np.int64]], marks: Mapping[str, float]) -> Json:
    """The distribution of the area of regions on a logarithmic axis.

    Args:
        areas: The area of each region in pixels, by split.
        marks: Areas to mark, by what they are.
    """
    known = {split: column for split, column in areas.items() if len(column)}
    most = max(int(column.max()) for column in known.values())
    edges = 2.0 ** np.arange(0, math.floor(math.log2(most)) + 2)
    x = {
        "scale": {"type": "log", "nice": False},
        "axis": {"format": "~s", "values": [1 / p for p in _POWERS]},
    }
    chart = _histogram(known, edges, "area of a region in pixels", "share of the regions", x)
    values = [{"x": area, "text": text} for text, area in marks.items() if 1 <= area <= edges[-1]]
    place = {"field": "x", "type": "quantitative"}
    rule = {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeDash": [4, 3]},
        "encoding": {"x": place},
    }
    label = {
        "data": {"values": values},
        "mark": {"type": "text", "align": "left", "dx": 4, "baseline": "top"},
        "encoding": {"x": place, "y": {"value": 0}, "text": {"field": "text"}},
    }
    return {**chart, "layer": drawn([*chart["layer"], rule, label])}


def _histogram(
    values: Mapping[str, npt.NDArray[np.int64]], edges: npt.NDArray[np.number], x: str, y: str, axis: Json
) -> Json:
    """The share of each split's values between edges, as steps."""
    rows: list[Json] = []
    for split, column in values.items():
        counts, _ = np.histogram(column, edges)
        shares = (counts / max(len(column), 1)).tolist()
        for begin, end, share in zip(edges[:-1].tolist(), edges[1:].tolist(), shares, strict=True):
            rows.append({"split": split, "x": begin, "to": end, "share": share})
        rows.append({"split": split, "x": float(edges[-1]), "to": None, "share": 0})
    tips = [
        tip("split", "split"),
        tip("x", "from", ","),
        tip("to", "below", ","),
        tip("share", y, ".3~%"),
    ]
    steps = {
        "data": {"values": rows},
        "mark": {"type": "area", "interpolate": "step-after", "line": {"strokeWidth": 1.5}, "opacity": 0.25},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": x, **axis},
            "y": {
                "field": "share",
                "type": "quantitative",
                "title": y,
                "stack": None,
                "axis": {"format": "~%", "tickCount": 5},
            },
            "color": _split(list(values)),
            "tooltip": tips,
        },
    }
    return {**FLUID, "height": HEIGHT, "layer": [steps]}


def _split(names: Sequence[str]) -> Json:
    """The color of a split."""
    return {
        "field": "split",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(names)},
        "legend": {"orient": "top", "symbolOpacity": 1},
    }
