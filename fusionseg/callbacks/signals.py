"""Stops a training between two steps when a signal asks for it."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, the termination signal, and the signal of SLURM before a time limit (`--signal=USR1@120`)."""

AGREEMENT = "_broadcast_sigterm_tensor"
"""Lightning's method that broadcasts a SIGTERM, and synchronizes with the device in each step for it."""


class Stopped(BaseException):
    """A training was stopped by a signal.

    Args:
        signum: The number of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Signals(Callback):
    """Stops the training between two steps, the same ones on all ranks; a second signal stops it immediately.

    A running validation is finished first. Callbacks after this one can read from `stopping` that no step
    will follow.

    Raises:
        Stopped: In the hooks at the start of a step or epoch, once a signal was received.
    """

    def __init__(self) -> None:
        self.signum = 0
        """The signal that was received, 0 if there was none."""
        self.stopping = False
        """Whether no further step will follow."""
        self.before: dict[int, Any] = {}
        """The handlers that were installed before, by signal."""
        self.group: Any = None
        """The process group in which ranks agree to stop, if there are several."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # a signal may have arrived while Lightning's handler was still installed
        self.signum = signal.SIGTERM if trainer.received_sigterm else 0
        self.stopping = False
        # on the hosts, so that no rank synchronizes with its device
        self.group = dist.new_group(backend="gloo") if trainer.world_size > 1 else None
        # from here on SIGTERM does not reach Lightning, which need not broadcast it
        setattr(trainer.fit_loop.epoch_loop, AGREEMENT, _do_nothing)
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._receive) for number in ASKED}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        self.stopping = between_steps(trainer, batch_idx) and self._agreed()

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        if self.stopping:
            raise Stopped(self.signum)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._agreed():
            raise Stopped(self.signum)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # before Lightning restores the handlers that were installed before its own
        self._restore(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore(trainer)

    def _receive(self, signum: int, _: FrameType | None) -> None:
        """Handles a signal: remembers the first one, and raises `Stopped` for the second."""
        if self.signum:
            raise Stopped(signum)
        self.signum = signum
        message = "stopping after this step or validation; once more stops at once"
        print(f"{signal.Signals(signum).name}: {message}", file=sys.stderr, flush=True)

    def _agreed(self) -> bool:
        """Whether any rank received a signal; must be called by all ranks."""
        if self.group is not None:
            highest = torch.tensor(self.signum)
            dist.all_reduce(highest, dist.ReduceOp.MAX, group=self.group)
            self.signum = int(highest)
        return bool(self.signum)

    def _restore(self, trainer: Trainer) -> None:
        """Installs the former handlers again."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
        trainer.fit_loop.epoch_loop.__dict__.pop(AGREEMENT, None)


def _do_nothing() -> None:
    pass


def between_steps(trainer: Any, batch_idx: int) -> bool:
    """Whether training can be resumed exactly after a batch.

    That is so after an optimizer step, if neither a validation nor the end of the epoch is due.

    Args:
        trainer: The trainer, whose attributes are read that Lightning sets while it fits.
        batch_idx: The number of the batch in the epoch, from 0.
    """
    done = batch_idx + 1
    every = trainer.val_check_batch
    across_epochs = trainer.check_val_every_n_epoch is None
    counted = trainer.fit_loop.epoch_loop.total_batch_idx + 1 if across_epochs else done
    validation_due = bool(every) and every != float("inf") and counted % every == 0
    after_step = done % trainer.accumulate_grad_batches == 0
    within_epoch = done < trainer.num_training_batches
    return bool(after_step and within_epoch and not validation_due)
