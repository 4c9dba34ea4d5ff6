"""Variants one below the other: their seeds, means and intervals, or their differences from a reference."""

import math
from collections.abc import Mapping, Sequence

from fusionseg.files.atomic import Json
from fusionseg.pages.charts import FLUID, drawn, quantity, tip
from fusionseg.studies.statistics import Interval

STEP = 28
"""Height of a variant in pixels."""

COLORS = {"seeds": "#4c78a8", "images": "#b9770e"}
"""The colors of intervals over seeds and over images."""


def seeds_chart(values: Mapping[str, Mapping[int, float]], means: Mapping[str, Interval], title: str) -> Json:
    """A point for each seed of each variant, with mean and interval.

    Args:
        values: The figure by variant and seed.
        means: Its mean by variant.
        title: What the figure is called.
    """
    seeds = [
        {"variant": variant, "seed": seed, "value": value}
        for variant, figures in values.items()
        for seed, value in figures.items()
        if math.isfinite(value)
    ]
    rows = [_row(variant, mean) for variant, mean in means.items() if mean.count]
    tooltip = [tip("variant", "variant"), tip("seed", "seed"), tip("value", title, ".4f")]
    points = {
        "data": {"values": seeds},
        "mark": {"type": "point", "filled": True, "size": 34, "opacity": 0.7},
        "encoding": {"x": quantity("value", title), "tooltip": tooltip},
    }
    return {
        **FLUID,
        "height": STEP * len(means),
        "encoding": {"y": _variants(list(means))},
        "layer": drawn([*_mean_and_interval(rows, title), points]),
    }


def differences_chart(
    rows: Sequence[Mapping[str, object]],
    seeds: Sequence[Mapping[str, object]],
    title: str,
    reference: str,
    names: Sequence[str],
) -> Json:
    """The differences from a reference with their intervals over seeds and over images.

    Args:
        rows: `variant`, `of` ("seeds" or "images"), `difference`, `low` and `high` of each interval.
        seeds: `variant`, `seed` and `difference` of each seed.
        title: What the difference is of.
        reference: The variant that the others are compared with.
        names: The others in their order.
    """
    shown = f"{title} minus that of {reference}"
    zero = {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "strokeDash": [3, 3], "opacity": 0.6},
        "encoding": {"x": {"field": "zero", "type": "quantitative"}, "y": None},
    }
    return {
        **FLUID,
        "height": STEP * len(names),
        "encoding": {"y": _variants(names)},
        "layer": drawn([zero, _seed_ticks(seeds, shown), *_both_intervals(rows, shown)]),
    }


def _seed_ticks(seeds: Sequence[Mapping[str, object]], shown: str) -> Json:
    """The differences of single seeds, in the row of the interval over seeds."""
    tips = [tip("variant", "variant"), tip("seed", "seed"), tip("difference", "difference", "+.4f")]
    return {
        "data": {"values": list(seeds)},
        "mark": {"type": "tick", "thickness": 1.5, "size": 8, "opacity": 0.6, "color": COLORS["seeds"]},
        "encoding": {
            "x": quantity("difference", shown),
            "yOffset": {"datum": "seeds", "scale": {"domain": list(COLORS)}},
            "tooltip": tips,
        },
    }


def _both_intervals(rows: Sequence[Mapping[str, object]], shown: str) -> list[Json]:
    """The difference of each variant with its interval over seeds, and below it that over images."""
    color = {
        "field": "of",
        "type": "nominal",
        "title": "95 % interval over",
        "scale": {"domain": list(COLORS), "range": list(COLORS.values())},
        "legend": {"orient": "top"},
    }
    ends = [tip(name, name, "+.4f") for name in ("difference", "low", "high")]
    shared = {
        "yOffset": {"field": "of", "type": "nominal", "sort": list(COLORS)},
        "color": color,
        "tooltip": [tip("variant", "variant"), tip("of", "interval over"), *ends],
    }
    return [
        {
            "data": {"values": list(rows)},
            "mark": {"type": "rule", "strokeWidth": 2.5},
            "encoding": {"x": quantity("low", shown), "x2": {"field": "high"}, **shared},
        },
        {
            "data": {"values": list(rows)},
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": quantity("difference", shown), **shared},
        },
    ]


def _row(variant: str, mean: Interval) -> dict[str, object]:
    return {"variant": variant, "mean": mean.mean, "low": mean.low, "high": mean.high}


def _mean_and_interval(rows: Sequence[Mapping[str, object]], title: str) -> list[Json]:
    known = [row for row in rows if math.isfinite(float(str(row["low"])))]
    tooltip = [
        tip("variant", "variant"),
        tip("mean", f"mean {title}", ".4f"),
        tip("low", "from", ".4f"),
        tip("high", "to", ".4f"),
    ]
    return [
        {
            "data": {"values": known},
            "mark": {"type": "rule", "strokeWidth": 2.5},
            "encoding": {"x": quantity("low", title), "x2": {"field": "high"}, "tooltip": tooltip},
        },
        {
            "data": {"values": list(rows)},
            "mark": {"type": "tick", "thickness": 2.5, "size": 16},
            "encoding": {"x": quantity("mean", title), "tooltip": tooltip},
        },
    ]


def _variants(names: Sequence[str]) -> Json:
    return {
        "field": "variant",
        "type": "nominal",
        "sort": list(names),
        "title": None,
        "axis": {"labelLimit": 170},
    }
