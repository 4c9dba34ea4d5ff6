"""Signals that ask a training to stop."""

import signal
import sys
import threading
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, the wish of a system that shuts down, and what SLURM sends before a time limit (`--signal=USR1@120`)."""

AGREEMENT = "_broadcast_sigterm_tensor"
"""Lightning's way to tell all ranks of a SIGTERM, which waits for the device in each step."""


class Stopped(BaseException):
    """A training that was asked to stop.

    Args:
        signum: The signal that asked.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Signals(Callback):
    """Lets a signal stop the training between two steps, in all ranks between the same; a second one stops at once.

    `stopping` tells the callbacks after this one that no step will follow. A validation is finished first.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.stopping = False
        self.before: dict[int, Any] = {}
        self.group: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # one that came while Lightning still listened
        self.signum, self.stopping = signal.SIGTERM if trainer.received_sigterm else 0, False
        # between hosts, so that no rank waits for its device
        self.group = dist.new_group(backend="gloo") if trainer.world_size > 1 else None
        # SIGTERM does not reach Lightning from here on
        setattr(trainer.fit_loop.epoch_loop, AGREEMENT, _nothing)
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._receive) for number in ASKED}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.stopping = between_steps(trainer, batch_idx) and self._agreed()

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.stopping:
            raise Stopped(self.signum)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._agreed():
            raise Stopped(self.signum)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # before Lightning puts back what was before it
        self._restore(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore(trainer)

    def _receive(self, signum: int, _: Any) -> None:
        if self.signum:
            raise Stopped(signum)
        self.signum = signum
        how = "stopping after this step or validation; once more stops at once"
        print(f"{signal.Signals(signum).name}: {how}", file=sys.stderr, flush=True)

    def _agreed(self) -> bool:
        """Whether any rank was asked; all ranks must ask together."""
        if self.group is not None:
            highest = torch.tensor(self.signum)
            dist.all_reduce(highest, dist.ReduceOp.MAX, group=self.group)
            self.signum = int(highest)
        return bool(self.signum)

    def _restore(self, trainer: Trainer) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
        trainer.fit_loop.epoch_loop.__dict__.pop(AGREEMENT, None)


def _nothing() -> None:
    pass


def between_steps(trainer: Any, batch_idx: int) -> bool:
    """Whether Lightning can go on exactly from here: after an optimizer's step, with no validation or epoch end due."""
    number, every = batch_idx + 1, trainer.val_check_batch
    whole = number % trainer.accumulate_grad_batches == 0 and number < trainer.num_training_batches
    return whole and not (every and every != float("inf") and number % every == 0)
