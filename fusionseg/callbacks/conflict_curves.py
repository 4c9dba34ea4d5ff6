"""Curves of what was logged in a training, as pictures."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fusionseg.sample import Picture

Row: TypeAlias = dict[str, float]
"""What was logged at one moment: figures by name, with `step` and `epoch`."""

MOST = 200
"""A curve has at most so many points."""


def conflict_curves(rows: Sequence[Row]) -> Picture:
    """How much tasks were in each other's way: cosines and ratios of norms, weights in force, and rates of conflict.

    A pair of tasks has a column of its own. Of many samples, the means over equal stretches are drawn, of ratios the
    geometric ones.

    Args:
        rows: What the callback `Conflicts` logged, in order.
    """
    # takes half a second, which only those who draw should wait for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = dict.fromkeys(name for row in rows for name in row)
    pairs = list(dict.fromkeys(_parts(name)[0] for name in names if name.startswith("conflict/cosine_")))
    figure = Figure((4.5 * (len(pairs) + 1), 6.5), dpi=100, layout="constrained")
    axes = figure.subplots(2, len(pairs) + 1, squeeze=False)
    for (above, below), pair in zip(axes.T, pairs, strict=False):
        _places(above, rows, f"conflict/cosine_{pair}")
        _places(below, rows, f"conflict/ratio_{pair}")
        above.set(title=f"{_words(pair)}: gradients", ylabel="cosine", ylim=(-1.05, 1.05))
        below.set(ylabel=f"ratio of norms, {_words(pair, ' / ')}", yscale="log")
        above.axhline(0, color="grey", linewidth=0.8)
        below.axhline(1, color="grey", linewidth=0.8)
    weights, rates = axes[:, -1]
    _family(weights, rows, "conflict/weight_", "step")
    _family(rates, rows, "conflict/rate_", "epoch")
    weights.set(title="weights in force", ylabel="weight")
    rates.set(title="conflicts", ylabel="share of samples with cosine < 0", ylim=(-0.05, 1.05))
    lines = {
        text: line for ax in axes[0, :-1] for line, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    if lines:
        figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=3 * len(pairs))
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _parts(name: str) -> tuple[str, str]:
    """The tasks of a logged name, and the stage of the encoder or nothing at the branching point."""
    tasks, _, stage = name.split("_", 1)[1].partition("_stage")
    return tasks, stage


def _words(tasks: str, between: str = " and ") -> str:
    return between.join(tasks.split("_"))


def _places(ax: Any, rows: Sequence[Row], name: str) -> None:
    """A curve for each place: the branching point bold, the encoder's stages thin, the deeper the darker."""
    from matplotlib import colormaps

    for key in sorted({key for row in rows for key in row if key.split("_stage")[0] == name}):
        stage = _parts(key)[1]
        color = colormaps["viridis_r"](min(int(stage) / 6, 1.0)) if stage else "crimson"
        label = f"encoder's stage {stage}" if stage else "branching point"
        width, order = (1.0, 2) if stage else (2.0, 3)
        points = _curve(rows, key, "step", "ratio" in name)
        ax.plot(*points, label=label, color=color, linewidth=width, zorder=order, marker=_marker(points))
    _counted(ax, "step")


def _family(ax: Any, rows: Sequence[Row], prefix: str, axis: str) -> None:
    """A curve for each task, or each pair of tasks."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key.startswith(prefix)))
    for i, key in enumerate(keys):
        points, width = _curve(rows, key, axis), 1.5 * (len(keys) - i)  # so that none hides one that is equal
        ax.plot(*points, label=_words(key.removeprefix(prefix)), linewidth=width, marker=_marker(points))
    _counted(ax, axis)
    if ax.lines:
        ax.legend()


def _counted(ax: Any, axis: str) -> None:
    """Names an axis of whole numbers."""
    ax.set(xlabel=axis)
    ax.xaxis.get_major_locator().set_params(integer=True)


def _marker(points: Sequence[Sequence[float]]) -> str:
    return "." if len(points[0]) < 30 else ""  # a single point makes no line


def _curve(
    rows: Sequence[Row], key: str, axis: str, geometric: bool = False
) -> tuple[list[float], list[float]]:
    """The points of a figure's curve, at most `MOST` of them."""
    points = np.array([(row[axis], row[key]) for row in rows if key in row])
    if geometric:
        points[:, 1] = np.log(points[:, 1])
    each = -(-len(points) // MOST)
    means = np.array([part.mean(0) for part in np.array_split(points, -(-len(points) // each))])
    if geometric:
        means[:, 1] = np.exp(means[:, 1])
    return means[:, 0].tolist(), means[:, 1].tolist()
