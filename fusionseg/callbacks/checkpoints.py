"""Saves the best and the last checkpoint of a training."""

import functools
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from torch import Tensor
from typing_extensions import override

from fusionseg.callbacks.signals import Signals, between_steps
from fusionseg.metrics.directions import lower_is_better
from fusionseg.runs.checkpoints import opened

LOSS = "val/loss"
"""The figure that decides between equal scores."""


def better(figures: Mapping[str, float], best: Mapping[str, float], monitor: str = "val/score") -> bool:
    """Whether a validation beats the best so far: by a better figure, or by a lower loss at the same one.

    Args:
        figures: The figures of the validation.
        best: Those of the best one so far; empty if there is none.
        monitor: The name of the figure; of losses and errors less is better.

    >>> better({"val/score": 1.0, "val/loss": 0.2}, {"val/score": 1.0, "val/loss": 0.3})
    True
    """
    sign = -1 if lower_is_better(monitor) else 1
    score = sign * figures[monitor]
    least = sign * best.get(monitor, math.nan)
    if math.isnan(least):  # nothing was measured yet
        return not math.isnan(score)
    return score > least or (score == least and figures.get(LOSS, math.inf) < best.get(LOSS, -math.inf))


class BestCheckpoint(ModelCheckpoint):
    """Saves the checkpoint with the best figure of the validation, also after the run folder was moved.

    Of equal figures, as a metric that has reached 1 gives them, that with the lowest `val/loss` is the best.
    A checkpoint that is replaced is kept, hidden, until `LastCheckpoint` has written a state that knows of
    the new one: a training that goes on from an earlier state has the best checkpoint of that state.

    Args:
        path: The file.
        monitor: The figure; of losses and errors less is better.
    """

    def __init__(self, path: Path, monitor: str = "val/score") -> None:
        self.path = path
        # after validation, because an epoch may end without one
        super().__init__(
            path.parent,
            filename=path.stem,
            monitor=monitor,
            mode="min" if lower_is_better(monitor) else "max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.figures: dict[str, float] = {}
        """The score and the loss of the best validation."""

    @override
    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether the validation that has just ended is the best one so far; the same on all ranks."""
        if current is None or self.monitor is None:
            return False
        known = trainer.callback_metrics
        figures = {name: float(known[name]) for name in (self.monitor, LOSS) if name in known}
        wins = not self.best_k_models or better(figures, self.figures, self.monitor)
        wins = trainer.strategy.reduce_boolean_decision(wins)
        if wins:
            self.figures = figures
        return wins

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the checkpoint in place that belongs to the state from which the training goes on."""
        super().on_train_start(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        before = replaced(self.path)
        if self.path.is_file() and not self._knows(self.path):
            if before.is_file() and self._knows(before):
                before.replace(self.path)
            else:
                self.path.unlink()
        before.unlink(missing_ok=True)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = replaced(self.path)
        if trainer.is_global_zero and self.path.is_file() and not before.exists():
            try:
                before.hardlink_to(self.path)
            except OSError:  # a file system without links
                shutil.copyfile(self.path, before)
        super().on_validation_end(trainer, pl_module)

    def _knows(self, path: Path) -> bool:
        """Whether a file is the best checkpoint that the state of this callback is about."""
        state = opened(path).get("callbacks", {}).get(self.state_key, {})
        return repr(state.get("figures", self.figures)) == repr(
            self.figures
        )  # in which NaN is equal to itself

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "figures": self.figures}

    @functools.cached_property
    def state_key(self) -> str:
        """The name of the callback's state in a checkpoint; Lightning asks for it in every hook."""
        return super().state_key

    @override
    def on_train_batch_end(self, *_: object) -> None:
        """Nothing, since it saves after a validation only."""

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best score, and replaces the folder in the stored paths by the current one."""

        def here(path: str) -> str:
            return f"{self.dirpath}/{Path(path).name}" if path else path

        paths = {name: here(path) for name, path in state_dict.items() if name.endswith("_path")}
        models = {here(path): score for path, score in state_dict["best_k_models"].items()}
        known = {str(self.monitor): float(score) for score in models.values()}  # of runs before 0.3
        self.figures = state_dict.get("figures", known)
        super().load_state_dict({**state_dict, **paths, "best_k_models": models, "dirpath": self.dirpath})


def replaced(best: Path) -> Path:
    """Where the best checkpoint before the newest one is kept, until no state needs it."""
    return best.with_name(".best.replaced")


class LastCheckpoint(Checkpoint):
    """Saves the latest checkpoint: after each epoch, every few minutes, and when a signal stops the training.

    Args:
        path: The file, which each new checkpoint replaces.
        minutes: Minimum time between a checkpoint within an epoch and the one before it. It is written
            between the next two steps at which no gradient is accumulated, no validation due and the epoch
            not at its end.
    """

    def __init__(self, path: Path, minutes: float = 5.0) -> None:
        self.path = path
        self.minutes = minutes
        self.written = time.monotonic()
        """The time of the last checkpoint, in seconds."""
        self.step = -1
        """The number of optimizer steps in the last checkpoint."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.written = time.monotonic()
        self.step = -1
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end:
            # with max_steps Lightning would skip the next epoch
            loop.epoch_progress.increment_completed()
            loop._restarting = False
            loop.epoch_loop.restarting = False
            loop.reset_restart_stage()
            loop.epoch_loop.reset_restart_stage()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if not between_steps(trainer, batch_idx):
            return
        stopping = any(isinstance(c, Signals) and c.stopping for c in trainer.callbacks)  # type: ignore[attr-defined]
        if stopping or trainer.global_step == trainer.max_steps or self._due(trainer, batch_idx):
            self._write(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # an epoch that max_steps cuts short was saved after its last batch; saved here, Lightning would take
        # it for a complete one
        if trainer.global_step != self.step:
            self._write(trainer)

    def _due(self, trainer: Trainer, batch_idx: int) -> bool:
        """Whether enough time has passed since the last checkpoint; the same on all ranks."""
        late = time.monotonic() - self.written >= 60 * self.minutes
        if trainer.world_size == 1:
            return late
        # clocks differ, and all ranks must save together: rank 0 decides, at steps where ranks communicate
        # anyway
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool((batch_idx + 1) % max(every, 1) == 0 and trainer.strategy.broadcast(late))

    def _write(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self.path, weights_only=False)
        if trainer.is_global_zero:
            replaced(self.path).unlink(missing_ok=True)
        self.written = time.monotonic()
        self.step = trainer.global_step
