"""Draws the curves of gradient conflicts that the callback `Conflicts` logged."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fusionseg.sample import Picture
from fusionseg.visualize.curves import Row, averaged, draw_curve, drawn, label_integer_axis

if TYPE_CHECKING:  # importing matplotlib takes half a second
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


def conflict_curves(rows: Sequence[Row]) -> Picture:
    """A figure of how gradients of tasks conflict: cosines and norm ratios, weights, and rates of conflict.

    Each pair of tasks has its own column. Long curves are averaged over equal intervals, ratios by geometric
    means.

    Args:
        rows: What the callback `Conflicts` logged, in order.

    Returns:
        An RGB picture (H, W, 3), uint8.
    """
    # importing matplotlib takes half a second
    from matplotlib.figure import Figure

    pairs = _pairs(rows)
    figure = Figure((4.5 * (len(pairs) + 1), 6.5), dpi=100, layout="constrained")
    axes = figure.subplots(2, len(pairs) + 1, squeeze=False)
    for (cosines, ratios), pair in zip(axes.T, pairs, strict=False):
        _draw_pair(cosines, ratios, rows, pair)
    weights, rates = axes[:, -1]
    _draw_family(weights, rows, "conflict/weight_", "step")
    _draw_family(rates, rows, "conflict/rate_", "epoch")
    weights.set(title="weights in force", ylabel="weight")
    rates.set(title="conflicts", ylabel="share of samples with cosine < 0", ylim=(-0.05, 1.05))
    lines: dict[str, Artist] = {}
    for ax in axes[0, :-1]:
        handles, labels = ax.get_legend_handles_labels()
        lines.update(zip(labels, handles, strict=True))
    if lines:
        legend: Any = figure.legend  # whose stub does not know ncols
        legend(lines.values(), lines.keys(), loc="outside lower center", ncols=3 * len(pairs))
    return drawn(figure)


def _pairs(rows: Sequence[Row]) -> list[str]:
    """The pairs of tasks whose cosines were logged, such as `semantic_region`, in order of appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    pairs = (_pair_and_stage(name)[0] for name in names if name.startswith("conflict/cosine_"))
    return list(dict.fromkeys(pairs))


def _pair_and_stage(name: str) -> tuple[str, str]:
    """The tasks in a logged name, and the stage of the encoder, which is empty for the branching point.

    >>> _pair_and_stage("conflict/cosine_semantic_region_stage3")
    ('semantic_region', '3')
    """
    pair, _, stage = name.split("_", 1)[1].partition("_stage")
    return pair, stage


def _label(tasks: str, separator: str = " and ") -> str:
    """The tasks of a logged name, for humans: `semantic and region`."""
    return separator.join(tasks.split("_"))


def _draw_pair(cosines: "Axes", ratios: "Axes", rows: Sequence[Row], pair: str) -> None:
    """Draws the cosines and the norm ratios of the gradients of two tasks."""
    _draw_places(cosines, rows, f"conflict/cosine_{pair}")
    _draw_places(ratios, rows, f"conflict/ratio_{pair}")
    cosines.set(title=f"{_label(pair)}: gradients", ylabel="cosine", ylim=(-1.05, 1.05))
    ratios.set(ylabel=f"ratio of norms, {_label(pair, ' / ')}", yscale="log")
    cosines.axhline(0, color="gray", linewidth=0.8)
    ratios.axhline(1, color="gray", linewidth=0.8)


def _draw_places(ax: "Axes", rows: Sequence[Row], name: str) -> None:
    """Draws a bold curve for the branching point and thin ones for stages, the deeper the darker."""
    from matplotlib import colormaps

    for key in sorted({key for row in rows for key in row if key.split("_stage")[0] == name}):
        stage = _pair_and_stage(key)[1]
        points = averaged(rows, key, "step", geometric="ratio" in name)
        if stage:
            color = colormaps["viridis_r"](min(int(stage) / 6, 1.0))
            draw_curve(ax, points, f"encoder's stage {stage}", color=color, linewidth=1.0, zorder=2)
        else:
            draw_curve(ax, points, "branching point", color="crimson", linewidth=2.0, zorder=3)
    label_integer_axis(ax, "step")


def _draw_family(ax: "Axes", rows: Sequence[Row], prefix: str, axis: str) -> None:
    """Draws a curve for each logged name with a prefix: one per task, or one per pair of tasks."""
    keys = list(dict.fromkeys(key for row in rows for key in row if key.startswith(prefix)))
    for i, key in enumerate(keys):
        # later curves are thinner, so that none hides an equal one
        width = 1.5 * (len(keys) - i)
        draw_curve(ax, averaged(rows, key, axis), _label(key.removeprefix(prefix)), linewidth=width)
    label_integer_axis(ax, axis)
    if ax.lines:
        ax.legend()
