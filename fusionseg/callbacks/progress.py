"""How far it is."""

import sys
import time
from typing import Any

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


class FusionProgress(ProgressBar):
    """One bar for the whole training with losses, rate and time left; a line an epoch where nobody watches.

    The losses are those that were logged last, so that the bar never waits for the device.

    Args:
        interactive: Whether to draw a bar; by whether standard error is a terminal if left out.
    """

    def __init__(self, interactive: bool | None = None) -> None:
        super().__init__()
        self.interactive = sys.stderr.isatty() if interactive is None else interactive
        self.enabled = True
        self.bar: Progress | None = None
        self.drawn = 0.0
        self.validated = False

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start, self.first = time.monotonic(), trainer.global_step
        self.steps = trainer.estimated_stepping_batches
        if not (self.enabled and self.interactive):
            return
        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            *columns,
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True),
            refresh_per_second=2,  # as often as it is told something new; the usual 10 take 1 % of a core
        )
        total = None if self.steps == float("inf") else int(self.steps)
        self.row = self.bar.add_task(
            "fit", total=total, completed=self.first, epoch=self._epoch(trainer), facts=""
        )
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        now = time.monotonic()
        if now - self.drawn > 0.5:
            self.drawn = now
            self._draw(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        shown = [name for name in SHOWN if name in trainer.callback_metrics and self.validated]
        figures = (f"{name} {float(trainer.callback_metrics[name]):.3f}" for name in shown)
        line = "  ".join([f"epoch {self._epoch(trainer)}", self._facts(trainer, pl_module), *figures])
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
        if self.bar is not None:
            facts = self._facts(trainer, module)
            self.bar.update(self.row, completed=trainer.global_step, epoch=self._epoch(trainer), facts=facts)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _epoch(self, trainer: Trainer) -> str:
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
        return f"{trainer.current_epoch + 1}/{last}"

    def _facts(self, trainer: Trainer, module: LightningModule) -> str:
        losses = {name.removeprefix("train/"): v for name, v in getattr(module, "latest", {}).items()}
        rate = (trainer.global_step - self.first) / max(time.monotonic() - self.start, 1e-9)
        return "  ".join([*(f"{name} {value:.3f}" for name, value in losses.items()), f"{rate:.2f} steps/s"])

    def _left(self, trainer: Trainer) -> str:
        done = trainer.global_step - self.first
        if not done or self.steps == float("inf"):
            return "?"
        seconds = round((time.monotonic() - self.start) / done * (self.steps - trainer.global_step))
        return f"{seconds // 60}:{seconds % 60:02d}"
