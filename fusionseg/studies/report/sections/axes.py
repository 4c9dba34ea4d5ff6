"""The deciding figure over the axes of the study."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.blocks import Block, Chart, Section
from fusionseg.studies.report.charts.curves import axis_chart
from fusionseg.studies.report.charts.heat import heat_chart
from fusionseg.studies.report.figures import bare, title
from fusionseg.studies.report.numbers import mean_and_spread, shown
from fusionseg.studies.report.score_parts import MAIN

MOST = 9
"""So many heat maps are drawn of one figure, where there are more than two axes."""


def section(numbers: Analysis) -> Section | None:
    """A chart over one axis, or heat maps over two; further axes have a heat map for each of their values."""
    asked = numbers.asked
    axes: Mapping[str, Sequence[Any]] = asked.results.declared.get("axes") or {}
    points = {run.variant: run.point for run in asked.results.runs if run.variant in asked.variants}
    placed = {name: point for name, point in points.items() if axes and set(axes) <= set(point)}
    if not placed:
        return None
    figures = list(asked.metrics)
    if bare(asked.metric) == "score":
        figures += [f"{asked.split}/{name}" for name in MAIN if f"{asked.split}/{name}" in asked.measured()]
    blocks: list[Block] = []
    for figure in dict.fromkeys(figures):
        blocks += (
            _over_one(numbers, axes, placed, figure)
            if len(axes) == 1
            else _over_two(numbers, axes, placed, figure)
        )
    names = " and ".join(_short(axis) for axis in axes) if len(axes) < 3 else "the axes"
    return Section(f"Over {names}", blocks)


def _over_one(
    numbers: Analysis, axes: Mapping[str, Sequence[Any]], placed: Mapping[str, Mapping[str, Any]], figure: str
) -> list[Block]:
    [(axis, values)] = axes.items()
    rows: list[dict[str, object]] = []
    for variant, point in placed.items():
        mean = numbers.mean(variant, figure)
        if mean.count:
            ends = {"low": mean.low, "high": mean.high}
            rows.append({"x": label(point[axis]), "variant": variant, "mean": mean.mean, **ends})
    spec = axis_chart(rows, _short(axis), [label(value) for value in values], title(figure))
    return [
        Chart(f"axis-{figure.replace('/', '-')}", f"{title(figure)} over {axis}, with 95 % intervals.", spec)
    ]


def _over_two(
    numbers: Analysis, axes: Mapping[str, Sequence[Any]], placed: Mapping[str, Mapping[str, Any]], figure: str
) -> list[Block]:
    first, second, *others = axes
    blocks: list[Block] = []
    for number, values in enumerate(
        itertools.islice(itertools.product(*(axes[name] for name in others)), MOST)
    ):
        fixed = dict(zip(others, values, strict=True))
        here = {n: p for n, p in placed.items() if all(p[axis] == value for axis, value in fixed.items())}
        cells = [
            cell
            for name, point in here.items()
            if (cell := _cell(numbers, name, point, (first, second), figure))
        ]
        order = ([label(value) for value in axes[first]], [label(value) for value in axes[second]])
        spec = heat_chart(cells, (_short(first), _short(second), title(figure)), order)
        where = "".join(f", {_short(axis)} {label(value)}" for axis, value in fixed.items())
        caption = f"Mean {title(figure)} over {first} and {second}{where}."
        blocks.append(Chart(f"heat-{figure.replace('/', '-')}-{number}", caption, spec))
    return blocks


def _cell(
    numbers: Analysis, variant: str, point: Mapping[str, Any], axes: tuple[str, str], figure: str
) -> dict[str, object] | None:
    mean = numbers.mean(variant, figure)
    if not mean.count:
        return None
    return {
        "x": label(point[axes[0]]),
        "y": label(point[axes[1]]),
        "value": mean.mean,
        "text": shown(mean.mean),
        "detail": mean_and_spread(mean.mean, mean.spread),
    }


def label(value: Any) -> str:
    """A value of an axis as a short text; a class path by its last part.

    >>> label(0.1), label("fusionseg.heads.BoundaryHead"), label("0.5 %"), label([64, 96])
    ('0.1', 'BoundaryHead', '0.5 %', '[64, 96]')
    """
    if not isinstance(value, str):
        return json.dumps(value)
    parts = value.split(".")
    return parts[-1] if all(part.isidentifier() for part in parts) else value


def _short(axis: str) -> str:
    """The name of an axis without the path of its key."""
    return axis.rpartition(".")[2]
