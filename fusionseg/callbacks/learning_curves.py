"""Draws the learning curves of a run into its folder."""

import time

from lightning.pytorch import Callback, LightningModule, Trainer

from fusionseg.files.images import write_png
from fusionseg.metrics import MetricSuite
from fusionseg.runs.csv_logger import MetricsLogger
from fusionseg.runs.folder import RunFolder
from fusionseg.visualize.curves import Row
from fusionseg.visualize.learning_curves import learning_curves

MOST = 8
"""The maximum number of validation figures that are drawn."""

SHARE = 0.02
"""The share of the time that drawing may take."""


class LearningCurves(Callback):
    """Draws what `metrics.csv` holds to `curves.png` in the run folder, from the second validation on.

    It is drawn after validations, not so often that it would take more than 2 % of the time, and in the end.
    """

    def __init__(self) -> None:
        self.drawn = 0
        """How many rows were drawn the last time."""
        self.due = 0.0
        """When it may be drawn again."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking and time.monotonic() >= self.due:
            self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the curves if there are any, and rows that were not drawn before."""
        tables = [logger for logger in trainer.loggers if isinstance(logger, MetricsLogger)]
        count = len(tables[0].rows) if tables else 0
        if not trainer.is_global_zero or count == self.drawn:
            return
        start = time.monotonic()
        rows = [row for row in map(_numbers, tables[0].rows) if "step" in row]
        if sum(any(name.startswith("val/") for name in row) for row in rows) < 2:
            return
        self.drawn = count
        picture = learning_curves(rows, _figures(rows, pl_module))
        write_png(RunFolder(trainer.default_root_dir).curves, picture)
        end = time.monotonic()
        self.due = end + (end - start) / SHARE


def _numbers(row: dict[str, float | str | None]) -> Row:
    """The values of a row that are numbers; those that were read from the file of a resumed run are text."""
    numbers = {name: float(value) for name, value in row.items() if value is not None and value != ""}
    return {name: value for name, value in numbers.items() if value == value}


def _figures(rows: list[Row], module: LightningModule) -> list[str]:
    """The validation figures to draw: the score and the main figure of each task, and panoptic quality.

    Of a module that does not say what it measures all that it logs, but its losses.
    """
    logged = dict.fromkeys(name for row in rows for name in row if name.startswith("val/"))
    suite = getattr(module, "suite", None)
    if isinstance(suite, MetricSuite):
        mains = [metric.main for metric in suite if metric.main]
        chosen = [f"val/{name}" for name in ("score", *mains, "pq")]
    else:
        chosen = [name for name in logged if not name.startswith("val/loss")]
    return [name for name in chosen if name in logged][:MOST]
