"""The learning curves of a run: losses, validation figures and the learning rate over the steps."""

from collections.abc import Sequence
from typing import NamedTuple

from fusionseg.sample import Picture
from fusionseg.visualize.curves import Row, averaged, draw_curve, drawn, label_integer_axis


class Curve(NamedTuple):
    """A curve: the logged name of its values, how it is labelled, and matplotlib's style."""

    key: str
    label: str
    style: dict[str, object]


def learning_curves(rows: Sequence[Row], figures: Sequence[str]) -> Picture:
    """A figure of a training: the loss, the losses of its tasks, validation figures, and the learning rate.

    What was never logged is left out. Long curves are averaged over equal intervals.

    Args:
        rows: What was logged, in order.
        figures: The logged names of the validation figures to draw, such as `val/miou`.

    Returns:
        An RGB picture (H, W, 3), uint8.
    """
    from matplotlib.figure import Figure  # importing matplotlib takes half a second

    logged = dict.fromkeys(name for row in rows for name in row)
    tasks = dict.fromkeys(name.partition("/loss_")[2] for name in logged if "/loss_" in name)
    by_task = [curve for i, task in enumerate(tasks) for curve in _losses(f"_{task}", f"{task}, ", f"C{i}")]
    plots = {
        "loss": _losses("", "", "C0"),
        "losses of the tasks": by_task,
        "validation figures": [Curve(name, name.removeprefix("val/"), {}) for name in figures],
        "learning rate": [
            Curve("train/lr", "learning rate", {}),
            Curve("train/lr_stem", "of the encoder's stem", {}),
        ],
    }
    plots = {title: [curve for curve in curves if curve.key in logged] for title, curves in plots.items()}
    plots = {title: curves for title, curves in plots.items() if curves}
    last = max(row["step"] for row in rows)
    lines = max(1, -(-len(plots) // 2))
    figure = Figure((11, 3.6 * lines), dpi=100)
    # a fixed layout, because one that measures texts takes longer than all the rest
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.16 / lines, top=1 - 0.09 / lines, hspace=0.35)
    for place, (title, curves) in enumerate(plots.items(), 1):
        ax = figure.add_subplot(lines, 2, place)
        for curve in curves:
            draw_curve(ax, averaged(rows, curve.key, "step"), curve.label, **curve.style)
        ax.set(title=title, xlim=(0, 1.02 * max(last, 1)))
        ax.grid(alpha=0.3)
        if len(curves) > 1:
            ax.legend(fontsize=8)
        label_integer_axis(ax, "step")
    return drawn(figure)


def _losses(suffix: str, label: str, color: str) -> list[Curve]:
    """The curves of a loss in training and, dashed, in validation."""
    return [
        Curve(f"train/loss{suffix}", f"{label}training", {"color": color}),
        Curve(f"val/loss{suffix}", f"{label}validation", {"color": color, "linestyle": "--"}),
    ]
