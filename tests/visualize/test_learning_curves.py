import numpy as np
import pytest

from fusionseg.visualize.curves import Row
from fusionseg.visualize.learning_curves import learning_curves

BLUE = (31, 119, 180)
"""Matplotlib's first color."""


def rows(epochs: int, tasks: tuple[str, ...] = ("semantic", "region"), loss: float = 1.0) -> list[Row]:
    found: list[Row] = []
    for epoch in range(epochs):
        row: Row = {"epoch": epoch, "step": 10 * epoch + 10}
        train = {f"train/loss_{task}": loss / (epoch + 1) for task in tasks}
        validated = {f"val/loss_{task}": loss / (epoch + 1) for task in tasks} | {
            "val/miou": 1 - loss / (epoch + 2)
        }
        found += [row | train | {"train/loss": loss, "train/lr": 0.1}, row | validated | {"val/loss": loss}]
    return found


def test_a_run_has_a_plot_of_the_loss_those_of_tasks_figures_and_the_learning_rate() -> None:
    assert learning_curves(rows(5), ["val/miou"]).shape == (720, 1100, 3)
    regions = [{name: v for name, v in row.items() if name in ("step", "val/miou")} for row in rows(5)]
    assert learning_curves(regions, ["val/miou"]).shape == (360, 1100, 3)


@pytest.mark.parametrize("epochs", [2, 40])
def test_a_figure_is_drawn_as_high_as_its_value(epochs: int) -> None:
    """Of a straight line from the lower left to the upper right."""
    line = [{"step": float(i), "val/miou": i / epochs} for i in range(1, epochs + 1)]
    picture = learning_curves(line, ["val/miou"])
    y, x = np.nonzero((picture == BLUE).all(2))
    slope, _ = np.polyfit(x, y, 1)
    assert slope < -0.4
    assert np.abs(np.corrcoef(x, y)[0, 1]) > 0.99


@pytest.mark.slow
def test_what_was_not_logged_or_not_asked_for_is_left_out() -> None:
    asked = learning_curves(rows(5), ["val/miou", "val/none"])
    np.testing.assert_array_equal(asked, learning_curves(rows(5), ["val/miou"]))
    assert not np.array_equal(asked, learning_curves(rows(5), []))


def test_a_run_whose_steps_are_all_zero_has_a_picture() -> None:
    still = [row | {"step": 0.0} for row in rows(2)]
    assert learning_curves(still, ["val/miou"]).shape == (720, 1100, 3)
