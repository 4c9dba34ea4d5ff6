"""The deciding figure over the axes of the study."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionseg.pages.blocks import Block, Chart, Section
from fusionseg.studies.axes import name_of
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.charts.curves import axis_chart
from fusionseg.studies.report.charts.heat import heat_chart
from fusionseg.studies.report.figures import bare, title
from fusionseg.studies.report.numbers import mean_and_spread, shown
from fusionseg.studies.report.score_parts import MAIN
from fusionseg.studies.report.sections.optimism import CHOSEN, chosen_mark, chosen_notes

MOST = 9
"""So many heat maps are drawn of one figure, where there are more than two axes."""


@dataclass(frozen=True)
class Grid:
    """The variants on the axes of a study.

    Attributes:
        axes: The values of each axis, as texts.
        points: The value of each variant on each axis.
    """

    axes: Mapping[str, Sequence[str]]
    points: Mapping[str, Mapping[str, str]]


def section(numbers: Analysis) -> Section | None:
    """A chart over one axis, or heat maps over two; further axes have a heat map for each of their values."""
    asked = numbers.asked
    grid = _grid(numbers)
    if not grid.points:
        return None
    parts = [f"{asked.split}/{name}" for name in MAIN] if bare(asked.metric) == "score" else []
    figures = dict.fromkeys([*asked.metrics, *(name for name in parts if name in asked.measured())])
    drawn = _over_one if len(grid.axes) == 1 else _over_two
    blocks = [block for figure in figures for block in drawn(numbers, grid, figure)]
    names = " and ".join(_short(axis) for axis in grid.axes) if len(grid.axes) < 3 else "the axes"
    return Section(f"Over {names}", blocks)


def _grid(numbers: Analysis) -> Grid:
    """The axes that a study declares, and the variants that have a value on each of them."""
    asked = numbers.asked
    declared: Mapping[str, Any] = asked.results.declared.get("axes") or {}
    points = {run.variant: run.point for run in asked.results.runs if run.variant in asked.variants}
    placed = {name: point for name, point in points.items() if declared and set(declared) <= set(point)}
    return Grid(
        {axis: _labels(values) for axis, values in declared.items()},
        {
            name: {axis: _label_of(point[axis], values) for axis, values in declared.items()}
            for name, point in placed.items()
        },
    )


def _over_one(numbers: Analysis, grid: Grid, figure: str) -> list[Block]:
    """A chart of a figure over the only axis."""
    [(axis, values)] = grid.axes.items()
    rows: list[dict[str, object]] = []
    for variant, point in grid.points.items():
        mean = numbers.mean(variant, figure)
        if mean.count:
            ends = {"low": mean.low, "high": mean.high}
            rows.append({"x": point[axis], "variant": variant, "mean": mean.mean, **ends})
    spec = axis_chart(rows, _short(axis), values, title(figure))
    caption = f"{title(figure)} over {axis}: means with 95 % intervals over seeds."
    caption = " ".join([caption, *chosen_notes(numbers, [figure])])
    return [Chart(f"axis-{figure.replace('/', '-')}", caption, spec)]


def _over_two(numbers: Analysis, grid: Grid, figure: str) -> list[Block]:
    """Heat maps of a figure over the first two axes, one for each combination of the others."""
    first, second, *others = grid.axes
    order = (grid.axes[first], grid.axes[second])
    blocks: list[Block] = []
    combinations = itertools.product(*(grid.axes[axis] for axis in others))
    for number, values in enumerate(itertools.islice(combinations, MOST)):
        fixed = dict(zip(others, values, strict=True))
        cells: list[dict[str, object]] = []
        for variant, point in grid.points.items():
            mean = numbers.mean(variant, figure)
            if mean.count and all(point[axis] == value for axis, value in fixed.items()):
                mark = chosen_mark(numbers, variant, figure)
                spread = mean_and_spread(mean.mean, mean.spread)
                text = {"text": f"{shown(mean.mean)}{mark}", "detail": f"{spread}{mark}"}
                cells.append({"x": point[first], "y": point[second], "value": mean.mean, **text})
        spec = heat_chart(cells, (_short(first), _short(second), title(figure)), order)
        where = "".join(f", {_short(axis)} {value}" for axis, value in fixed.items())
        caption = f"Mean {title(figure)} over {first} and {second}{where}."
        marked = any(CHOSEN in str(cell["text"]) for cell in cells)
        caption = " ".join([caption, *(chosen_notes(numbers, [figure]) if marked else ())])
        blocks.append(Chart(f"heat-{figure.replace('/', '-')}-{number}", caption, spec))
    return blocks


def label(value: Any) -> str:
    """A value of an axis as a short text; a class by the last part of its path.

    >>> label(0.1), label("fusionseg.heads.BoundaryHead"), label("0.5 %"), label([64, 96])
    ('0.1', 'BoundaryHead', '0.5 %', '[64, 96]')
    """
    if isinstance(value, dict) and "class_path" in value:
        return label(value["class_path"])
    if not isinstance(value, str):
        return json.dumps(value)
    parts = value.split(".")
    return parts[-1] if all(part.isidentifier() for part in parts) else value


def _labels(values: Any) -> list[str]:
    """The values of an axis as texts; those that have names by these."""
    return (
        [str(name) for name in values] if isinstance(values, Mapping) else [label(value) for value in values]
    )


def _label_of(value: Any, values: Any) -> str:
    """The value of a variant on an axis as `_labels` has it: itself, or the label that its name has."""
    known = values.values() if isinstance(values, Mapping) else values
    texts = zip(_labels(values), known, strict=True)
    return next((text for text, one in texts if value in (one, name_of(one))), label(value))


def _short(axis: str) -> str:
    """The name of an axis without the path of its key."""
    return axis.rpartition(".")[2]
