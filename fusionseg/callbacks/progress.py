"""Progress bar with losses, steps per second and time left."""

import sys
import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SHOWN = ("val/score", "val/miou", "val/covering", "val/pq")
"""The validation metrics in the line of an epoch, if they were logged."""

REDRAW_SECONDS = 0.5
"""The bar is updated at most this often."""


class FusionProgress(ProgressBar):
    """One progress bar for the whole training, or one line per epoch if standard error is not a terminal.

    It shows the losses that were logged last, so that it never synchronizes with the device.

    Args:
        interactive: Whether to draw a bar; by default, if standard error is a terminal.
    """

    def __init__(self, interactive: bool | None = None) -> None:
        super().__init__()
        self.interactive = sys.stderr.isatty() if interactive is None else interactive
        self.enabled = True
        self.bar: Progress | None = None
        self.drawn = 0.0
        """The time of the last update of the bar, in seconds."""
        self.validated = False
        """Whether there was a validation in this epoch."""

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = time.monotonic()
        self.first = trainer.global_step
        self.steps = trainer.estimated_stepping_batches
        if not (self.enabled and self.interactive):
            return
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True),
            refresh_per_second=2,  # as often as it is updated; the default of 10 takes 1 % of a core
        )
        total = None if self.steps == float("inf") else int(self.steps)
        self.row = self.bar.add_task(
            "fit", total=total, completed=self.first, epoch=self._epoch(trainer), facts=""
        )
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        now = time.monotonic()
        if now - self.drawn > REDRAW_SECONDS:
            self.drawn = now
            self._draw(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shown = [name for name in SHOWN if name in trainer.callback_metrics and self.validated]
        metrics = (f"{name} {float(trainer.callback_metrics[name]):.3f}" for name in shown)
        line = "  ".join([f"epoch {self._epoch(trainer)}", self._facts(trainer, pl_module), *metrics])
        self.validated = False
        self._draw(trainer, pl_module)
        if self.bar is not None:
            self.bar.console.print(line, highlight=False)
        elif self.enabled and trainer.is_global_zero:
            print(f"{line}  left {self._left(trainer)}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        """Updates the bar, if there is one."""
        if self.bar is not None:
            facts = self._facts(trainer, module)
            self.bar.update(self.row, completed=trainer.global_step, epoch=self._epoch(trainer), facts=facts)

    def _close(self) -> None:
        """Removes the bar, so that the terminal is usable again."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _epoch(self, trainer: Trainer) -> str:
        """The number of the epoch, counted from 1, and the number of epochs or `?`: `3/20`."""
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
        return f"{trainer.current_epoch + 1}/{last}"

    def _facts(self, trainer: Trainer, module: LightningModule) -> str:
        """The losses that the module logged last, and optimizer steps per second."""
        latest: dict[str, float] = getattr(getattr(module, "loss_log", None), "latest", {})
        losses = [f"{name.removeprefix('train/')} {value:.3f}" for name, value in latest.items()]
        rate = (trainer.global_step - self.first) / max(time.monotonic() - self.start, 1e-9)
        return "  ".join([*losses, f"{rate:.2f} steps/s"])

    def _left(self, trainer: Trainer) -> str:
        """The estimated time left as minutes:seconds, or `?` if it is not known."""
        done = trainer.global_step - self.first
        if not done or self.steps == float("inf"):
            return "?"
        seconds_per_step = (time.monotonic() - self.start) / done
        seconds = round(seconds_per_step * (self.steps - trainer.global_step))
        return f"{seconds // 60}:{seconds % 60:02d}"
