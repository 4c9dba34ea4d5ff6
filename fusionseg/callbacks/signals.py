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

AGREE = 10
"""Several ranks agree on stopping after every so many batches."""


class Stopped(BaseException):
    """A training that was asked to stop.

    Args:
        signum: The signal that asked.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Signals(Callback):
    """Lets a signal stop the training between two steps, in all ranks at the same; a second one stops at once.

    `stopping` tells the callbacks after this one that the batch that ends is the last one. A validation is not finished
    but repeated when the run is resumed.
    """

    def __init__(self) -> None:
        self.signum = 0
        self.stopping = False
        self.before: dict[int, Any] = {}
        self.group: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.signum, self.stopping = 0, False
        if trainer.world_size > 1 and self.group is None:
            self.group = dist.new_group(backend="gloo")  # between hosts, so that no rank waits for its device
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._receive) for number in ASKED}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size == 1:
            self.stopping = bool(self.signum)
        elif (batch_idx + 1) % AGREE == 0:
            highest = torch.tensor(self.signum)
            dist.all_reduce(highest, dist.ReduceOp.MAX, group=self.group)
            self.signum = int(highest)
            self.stopping = bool(self.signum)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.stopping:
            raise Stopped(self.signum)

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.signum:
            raise Stopped(self.signum)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _receive(self, signum: int, _: Any) -> None:
        name = signal.Signals(signum).name
        if self.signum:
            raise Stopped(signum)
        self.signum = signum
        print(f"{name}: stopping after this step (once more: at once)", file=sys.stderr, flush=True)

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
