"""What is worth keeping."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from typing_extensions import override

from fusionseg.callbacks.signals import Signals, between_steps


class BestCheckpoint(ModelCheckpoint):
    """The state after the validation with the highest `val/score`, also of a run whose folder was moved.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        # after validation, for an epoch may end without one
        super().__init__(
            path.parent,
            filename=path.stem,
            monitor="val/score",
            mode="max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return f"{self.dirpath}/{Path(path).name}" if path else path

        paths = {name: here(path) for name, path in state_dict.items() if name.endswith("_path")}
        models = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": models, "dirpath": self.dirpath})


class LastCheckpoint(Checkpoint):
    """The state after the last epoch, within an epoch after so many minutes, or where a signal stopped the training.

    Args:
        path: The file, in place of which each new state is put.
        minutes: A state within an epoch is as old as this at least; it is written between two steps, the next time that
            no gradient is held, no validation due and the epoch not at its end.
    """

    def __init__(self, path: Path, minutes: float = 5.0) -> None:
        self.path, self.minutes = path, minutes
        self.written, self.step = time.monotonic(), -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.written, self.step = time.monotonic(), -1
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end:  # with max_steps Lightning would pass over the next epoch
            loop.epoch_progress.increment_completed()
            loop._restarting = loop.epoch_loop.restarting = False
            for part in (loop, loop.epoch_loop):
                part.reset_restart_stage()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not between_steps(trainer, batch_idx):
            return
        stopping = any(isinstance(c, Signals) and c.stopping for c in trainer.callbacks)  # type: ignore[attr-defined]
        if stopping or trainer.global_step == trainer.max_steps or self._due(trainer, batch_idx):
            self._write(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # an epoch that max_steps cuts short was written above, and is no whole one to Lightning afterwards
        if trainer.global_step != self.step:
            self._write(trainer)

    def _due(self, trainer: Trainer, batch_idx: int) -> bool:
        late = time.monotonic() - self.written >= 60 * self.minutes
        if trainer.world_size == 1:
            return late
        # clocks differ, and all must save together: ask rank 0 where they meet anyway
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool((batch_idx + 1) % max(every, 1) == 0 and trainer.strategy.broadcast(late))

    def _write(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)
        self.written, self.step = time.monotonic(), trainer.global_step
