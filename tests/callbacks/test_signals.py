import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from fusionseg.callbacks.signals import AGREEMENT, Signals, Stopped, between_steps
from fusionseg.config.lightning_messages import quiet

Plan = Callable[..., pl.Trainer]

ON_TWO_RANKS = """
import os, signal, sys, torch
from unittest.mock import patch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from fusionseg.callbacks.signals import AGREEMENT, Signals, Stopped

class Asks(Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_rank == 1 and trainer.global_step == 2:
            signal.raise_signal(signal.SIGTERM)

def train(name, *callbacks):
    asked = lambda _: os.write(1, f"{name}: Lightning asked\\n".encode())
    parts = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, limit_train_batches=5,
                      limit_val_batches=0, callbacks=list(callbacks), **dict.fromkeys(parts, False))
    with patch.object(_TrainingEpochLoop, AGREEMENT, asked):
        try:
            trainer.fit(BoringModel())
        except Stopped as stop:
            os.write(1, f"{name}: {stop} after {trainer.global_step}\\n".encode())

torch.set_num_threads(1)
rank = str(int(os.fork() == 0))  # after the imports, which take longest
os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
train("plain")
train("signals", Signals(), Asks())
if rank == "0":
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.slow
def test_ranks_stop_between_the_same_steps_and_no_other_agreement_is_sought() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # as torchrun would start it
    place = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    env = {**os.environ, **place, "TORCHELASTIC_RUN_ID": "test", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_RANKS],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Counter(done.stdout.splitlines()) == {
        "plain: Lightning asked": 2 * 5,
        "signals: stopped by SIGTERM after 3": 2,
    }


class Asks(Callback):
    """Sends one signal when the training starts, or several in a step."""

    def __init__(self, signum: int, step: int, times: int = 1) -> None:
        self.signum, self.step, self.times = signum, step, times

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        if self.step < 0:
            signal.raise_signal(self.signum)

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        for _ in range(self.times if trainer.global_step == self.step else 0):
            signal.raise_signal(self.signum)


def steps(plan: Plan, *callbacks: Callback) -> int:
    """The number of steps, of five, after which a training was stopped."""
    trainer = plan(callbacks=list(callbacks), limit_train_batches=5, limit_val_batches=0)
    with quiet(), pytest.raises(Stopped, match="stopped by SIG"):
        trainer.fit(BoringModel())
    return int(trainer.global_step)


def test_one_signal_is_obeyed_after_the_step_and_two_at_once(plan: Plan) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        assert steps(plan, Signals(), Asks(signum, 2)) == 3
        assert steps(plan, Signals(), Asks(signum, 2, times=2)) == 2


def test_a_signal_before_the_first_step_is_not_lost(plan: Plan) -> None:
    assert steps(plan, Asks(signal.SIGTERM, -1), Signals()) == 0
    assert steps(plan, Signals(), Asks(signal.SIGTERM, -1)) == 0


@pytest.mark.parametrize("asked", [False, True])
def test_all_is_as_before_when_the_training_is_over(asked: bool, plan: Plan) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    during: list[Any] = []

    class Looks(Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            during.append(vars(trainer.fit_loop.epoch_loop)[AGREEMENT])

    trainer = plan(
        callbacks=[Signals(), Looks(), *([Asks(signal.SIGTERM, 1)] if asked else [])], limit_train_batches=5
    )
    with quiet(), pytest.raises(Stopped) if asked else nullcontext():
        trainer.fit(BoringModel())
    assert len(during) == (2 if asked else 5)
    assert getattr(trainer.fit_loop.epoch_loop, AGREEMENT).__func__ is getattr(_TrainingEpochLoop, AGREEMENT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


@pytest.mark.parametrize(
    ("every", "across", "batch", "total", "between"),
    [
        (5, False, 3, 10, True),
        (5, False, 4, 11, False),
        (5, True, 2, 9, False),  # the tenth batch, the third of its epoch
        (5, True, 4, 11, True),
        (float("inf"), True, 4, 9, True),
    ],
)
def test_no_state_is_kept_between_a_step_and_the_validation_after_it(
    every: float, across: bool, batch: int, total: int, between: bool
) -> None:
    trainer = SimpleNamespace(
        val_check_batch=every,
        check_val_every_n_epoch=None if across else 1,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=total)),
        accumulate_grad_batches=1,
        num_training_batches=7,
    )
    assert between_steps(trainer, batch) == between
