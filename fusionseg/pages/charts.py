"""What all charts share."""

from typing import Any

from fusionseg.files.atomic import Json

FLUID: Json = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
"""As wide as the page."""


def tip(field: str, title: str, form: str = "") -> dict[str, Any]:
    """A line of what is shown where the pointer rests.

    Args:
        field: The field of the data.
        title: What it is called.
        form: How a number is written, in D3's notation.
    """
    line = {"field": field, "title": title}
    return {**line, "format": form} if form else line


def drawn(layers: list[Json]) -> list[Json]:
    """The layers that have data: of no data Vega warns that it finds no extent.

    Args:
        layers: Layers with or without data of their own.
    """
    return [layer for layer in layers if "data" not in layer or layer["data"]["values"]]


def quantity(field: str, title: str) -> Json:
    """A numeric axis that need not begin at 0.

    Args:
        field: The field of the data.
        title: What it is called.
    """
    axis = {"labelFlush": False, "labelOverlap": True, "tickCount": 8}
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}, "axis": axis}


def color_of(names: list[str], title: str | None = None) -> Json:
    """A color for each of some names, with a legend where there are several.

    Args:
        names: The names in their order.
        title: What they are.
    """
    symbols = {"symbolType": "stroke", "symbolStrokeWidth": 3, "symbolOpacity": 1, "symbolLimit": 40}
    legend = {"orient": "top", "columns": 4, **symbols} if len(names) > 1 else None
    scale: Json = {"domain": names}
    if len(names) > 10:
        scale["scheme"] = "tableau20"
    return {"field": "variant", "type": "nominal", "title": title, "scale": scale, "legend": legend}
