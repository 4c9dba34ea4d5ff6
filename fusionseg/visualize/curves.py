"""Curves of what was logged during training, drawn with matplotlib, and its figures as pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fusionseg.sample import Picture

if TYPE_CHECKING:  # importing matplotlib takes half a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row: TypeAlias = dict[str, float]
"""The values that were logged at one step, by name, with `step` and `epoch`."""

Points: TypeAlias = tuple[list[float], list[float]]
"""The x and y coordinates of a curve."""

MOST = 200
"""The maximum number of points of a curve."""


def averaged(rows: Sequence[Row], key: str, axis: str, geometric: bool = False) -> Points:
    """The points of the curve of one logged name, averaged over equal intervals so that there are few.

    Args:
        rows: What was logged, of which one row or more has the name.
        key: The name of the y values.
        axis: The name of the x values, `step` or `epoch`.
        geometric: Average by the geometric mean, for values above 0.

    Returns:
        At most `MOST` points.
    """
    points = np.array([(row[axis], row[key]) for row in rows if key in row])
    if geometric:
        points[:, 1] = np.log(points[:, 1])
    points_per_mean = -(-len(points) // MOST)
    intervals = np.array_split(points, -(-len(points) // points_per_mean))
    means = np.array([interval.mean(0) for interval in intervals])
    if geometric:
        means[:, 1] = np.exp(means[:, 1])
    return means[:, 0].tolist(), means[:, 1].tolist()


def draw_curve(ax: "Axes", points: Points, label: str, **style: object) -> None:
    """Draws a curve; a short one has markers, because a single point makes no line."""
    marker = "." if len(points[0]) < 30 else ""
    ax.plot(*points, label=label, marker=marker, **style)  # type: ignore[arg-type]


def label_integer_axis(ax: "Axes", name: str) -> None:
    """Names the x axis, whose ticks are integers."""
    ax.set(xlabel=name)
    ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]


def drawn(figure: "Figure") -> Picture:
    """A figure as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return pixels[..., :3].copy()
