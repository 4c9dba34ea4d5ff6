"""Tables of colors: a figure over two axes, classes by variants, and confusion matrices."""

from collections.abc import Mapping, Sequence

from fusionseg.files.atomic import Json
from fusionseg.pages.charts import FLUID, tip

DARK_FROM = 0.55
"""The share of the range from which on a color is so dark that text on it is white."""

ROW = 26
"""The height of a row in pixels."""


def heat_chart(
    cells: Sequence[Mapping[str, object]],
    names: tuple[str, str, str],
    order: tuple[Sequence[str], Sequence[str]],
    labels: bool = True,
) -> Json:
    """A cell for each pair, colored by its value, or by its `shade` around 0 where cells have one.

    Args:
        cells: `x`, `y` and `value` of each, and `text` of what is written in it; also `shade` and `detail`.
        names: What columns, rows and values are called.
        order: The columns and the rows in their order.
        labels: Whether values are written into the cells.
    """
    crowded = sum(map(len, order[0])) > 80
    axis = {"labelAngle": -40 if crowded else 0, "labelLimit": 150, "labelOverlap": False}
    x = {"field": "x", "type": "ordinal", "sort": list(order[0]), "title": names[0] or None, "axis": axis}
    y = {"field": "y", "type": "ordinal", "sort": list(order[1]), "title": names[1] or None}
    color, dark = _colors(cells)
    tips = [tip("x", names[0] or "column"), tip("y", names[1] or "row"), tip("value", names[2], ".4f")]
    tips += [tip("shade", "difference", "+.4f")] if color["field"] == "shade" else []
    tips += [tip("detail", "over seeds")] if any("detail" in cell for cell in cells) else []
    layers: list[Json] = [{"mark": {"type": "rect"}, "encoding": {"color": color, "tooltip": tips}}]
    if labels:
        tone = {"condition": {"test": dark, "value": "white"}, "value": "#1b1d21"}
        layers.append({"mark": {"type": "text"}, "encoding": {"text": {"field": "text"}, "color": tone}})
    return {
        **FLUID,
        "height": ROW * len(order[1]),
        "data": {"values": list(cells)},
        "encoding": {"x": x, "y": y},
        "layer": layers,
    }


def _colors(cells: Sequence[Mapping[str, object]]) -> tuple[Json, str]:
    """The colors of cells, and the expression of those that are dark."""
    shaded = all("shade" in cell for cell in cells)
    field = "shade" if shaded else "value"
    values = [float(str(cell[field])) for cell in cells]
    low = min(values, default=0.0)
    high = max(values, default=1.0)
    scale: Json = {"scheme": "blues", "domain": [low, high]}
    dark = f"datum.value > {low + DARK_FROM * (high - low)}"
    if shaded:
        reach = max(-low, high) or 1.0
        scale = {"scheme": "purpleorange", "domain": [reach, -reach]}
        dark = f"abs(datum.shade) > {DARK_FROM * reach}"
    return {"field": field, "type": "quantitative", "scale": scale, "legend": None}, dark


def confusion_chart(
    cells: Sequence[Mapping[str, object]], classes: Sequence[str], variants: Sequence[str]
) -> Json:
    """A confusion matrix for each variant, side by side.

    Args:
        cells: `variant`, `truth`, `answer` and `share` of the true pixels.
        classes: The classes in their order.
        variants: The variants in their order.
    """
    step = 20 if len(classes) <= 12 else 13
    tips = [
        tip("variant", "variant"),
        tip("truth", "truth"),
        tip("answer", "predicted"),
        tip("share", "share of the true pixels", ".3f"),
    ]
    axis = {"labelLimit": 90}
    across = {"field": "answer", "sort": list(classes), "title": "predicted", "axis": axis}
    down = {"field": "truth", "sort": list(classes), "title": "truth", "axis": axis}
    color = {
        "field": "share",
        "type": "quantitative",
        "title": "share of the true pixels",
        "scale": {"scheme": "blues", "domain": [0, 1]},
        "legend": {"orient": "top", "gradientLength": 160},
    }
    return {
        "data": {"values": list(cells)},
        "facet": {"field": "variant", "type": "nominal", "sort": list(variants), "title": None},
        "columns": 2 if len(variants) == 4 else 3,
        "spec": {
            "width": {"step": step},
            "height": {"step": step},
            "mark": "rect",
            "encoding": {"x": across, "y": down, "color": color, "tooltip": tips},
        },
    }
