"""The names of points beside them, moved up or down where they would cover each other."""

import math
from collections.abc import Mapping, Sequence

from fusionseg.files.atomic import Json

NAMED = 12
"""Up to so many points have their names beside them."""

WIDTH = 900
"""A page's usual width of a chart, in pixels."""

LETTER = 6
LINE = 12
"""The size of a letter and of a line, in pixels."""

SHIFTS = (-8, 12, -20, 24, -32, 36, -44, 48)
"""How far down from its point a name may stand, in pixels, in order of preference."""


def named(points: Sequence[Mapping[str, object]], place: Json, height: int) -> list[Json]:
    """The layer of the names; none where there are too many points.

    Args:
        points: `variant`, `x` and `y`, and the ends of intervals `x_low`, `x_high` ... where they are drawn.
        place: The encoding of `x` and `y`.
        height: The height of the chart in pixels.
    """
    if len(points) > NAMED:
        return []
    shifts = label_shifts(points, height)
    values = [{**point, "shift": shift} for point, shift in zip(points, shifts, strict=True)]
    mark = {"type": "text", "align": "left", "dx": 7, "dy": {"expr": "datum.shift"}, "limit": 25 * LETTER}
    encoding = {**place, "text": {"field": "variant"}}
    return [{"data": {"values": values}, "mark": mark, "encoding": encoding}]


def label_shifts(points: Sequence[Mapping[str, object]], height: int) -> list[int]:
    """How far down from its point each name stands, in pixels, so that names cover no others if possible.

    Args:
        points: As of `named`.
        height: The height of the chart in pixels.
    """
    across = _positions(points, "x", WIDTH)
    down = [height - y for y in _positions(points, "y", height)]
    taken: list[tuple[float, float, float]] = []
    shifts = []
    for point, x, y in zip(points, across, down, strict=True):
        end = x + LETTER * min(len(str(point["variant"])), 25)
        free = (shift for shift in SHIFTS if not any(_covers((x, end, y + shift), other) for other in taken))
        shift = next(free, SHIFTS[0])
        taken.append((x, end, y + shift))
        shifts.append(shift)
    return shifts


def _covers(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether two names overlap, each its first and last column and its line."""
    return one[0] < other[1] and other[0] < one[1] and abs(one[2] - other[2]) < LINE


def _positions(points: Sequence[Mapping[str, object]], axis: str, length: int) -> list[float]:
    """The points' pixels along an axis as long as all that is drawn."""
    drawn = [float(str(p[key])) for p in points for key in (axis, f"{axis}_low", f"{axis}_high") if key in p]
    finite = [value for value in drawn if math.isfinite(value)]
    low = min(finite)
    extent = (max(finite) - low) or 1.0
    return [(float(str(p[axis])) - low) / extent * length for p in points]
