"""Checks the length of a training, and how its ranks are started, before Lightning starts."""

from typing import Any

import torch
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from fusionseg.config.errors import UsageError


def check_plan(
    max_epochs: int | None,
    max_steps: int = -1,
    max_time: Any = None,
    limit_train_batches: int | float | None = None,
    accumulate_grad_batches: int = 1,
    devices: Any = 1,
    num_nodes: int = 1,
    **_: object,
) -> None:
    """Checks the length of training and the number of devices before Lightning starts.

    The command line finds the types of these arguments here, so they are Lightning's: a limit of 1 is one
    batch, and of 1.0 all.

    Raises:
        ValueError: If training has no end, or a number is out of range.
    """
    if max_epochs is None and max_steps == -1 and max_time is None:
        raise ValueError("training has no end: set trainer.max_epochs, trainer.max_steps or trainer.max_time")
    for name, length in (
        ("max_epochs", max_epochs),
        ("max_steps", max_steps),
        ("limit_train_batches", limit_train_batches),
    ):
        if length == 0:
            raise UsageError("expected a training of one step or more, found 0", f"trainer.{name}")
    if accumulate_grad_batches < 1:
        raise ValueError(
            f"expected trainer.accumulate_grad_batches of 1 or more, found {accumulate_grad_batches}"
        )
    for name, number in (("devices", devices), ("num_nodes", num_nodes)):
        every = name == "devices" and number == -1 and torch.cuda.is_available()  # all GPUs
        if isinstance(number, int) and not 1 <= number <= 4096 and not every:
            raise ValueError(f"expected trainer.{name} in 1..4096, found {number}")


def check_launcher(launcher: object) -> None:
    """Checks that each rank is a program of its own, whose errors, signals and results are not lost.

    Raises:
        UsageError: If one process starts the ranks, as `ddp_spawn`, `ddp_fork` and `ddp_notebook` do.
    """
    if isinstance(launcher, _MultiProcessingLauncher):
        raise UsageError(
            "expected ddp, which starts each rank as a program, found one that starts the ranks from within "
            "this process (spawn, fork, notebook); in a notebook start the command: `!fusionseg fit "
            "--trainer.devices 2 ...`",
            "trainer.strategy",
        )
