"""Which trained model another one learns from, and what of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from fusionseg.config.errors import UsageError
from fusionseg.heads import Head
from fusionseg.networks import Network


@dataclass(frozen=True)
class Teacher:
    """A model whose outputs a new one learns to reproduce, beside its labels.

    Args:
        run: Its run folder (the best checkpoint is taken), a checkpoint, or a folder of `fusionseg share`.
            Without one, the teacher is the running mean of the new model's own weights (a mean teacher), and
            sees each view in the image's own colors.
        weight: Weight of the distance of outputs in the loss of each task that both models have; or of some
            tasks by their names, such as `{semantic: 1.0}`; 0 compares no outputs.
        temperature: What logits are divided by before they are compared, above 0; of probabilities alone.
        features: Weight of the mean squared distance of the maps that tasks share, through a 1x1 adapter.
        ramp_up: Steps in which these weights rise from 0, by `exp(-5 (1 - step / ramp_up)^2)`.
        decay: How much of the running mean is kept in each step, below 1, where there is no run.

    Raises:
        ValueError: If a number is out of its range, or nothing is compared.
    """

    run: str | None = None
    weight: float | dict[str, float] = 1.0
    temperature: float = 1.0
    features: float = 0.0
    ramp_up: int = 0
    decay: float = 0.99

    def __post_init__(self) -> None:
        weights = self.weight if isinstance(self.weight, Mapping) else {"weight": self.weight}
        for name, value in {**weights, "features": self.features}.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"model.teacher: expected {name} of 0 or more, found {value}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"model.teacher: expected a temperature above 0, found {self.temperature}")
        if self.ramp_up < 0:
            raise ValueError(f"model.teacher: expected ramp_up of 0 steps or more, found {self.ramp_up}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"model.teacher: expected a decay in [0, 1), found {self.decay}")
        if not self.features and not any(weights.values()):
            raise ValueError("model.teacher: weight and features are 0: expected one above 0")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.run or "its running mean"

    def rise(self, step: int) -> float:
        """The factor of all weights after so many steps."""
        if step >= self.ramp_up:
            return 1.0
        return math.exp(-5 * (1 - step / self.ramp_up) ** 2)


def task_weights(
    teacher: Teacher, own: Mapping[str, nn.Module], theirs: Mapping[str, nn.Module]
) -> dict[str, float]:
    """The weight of the distance of outputs by task, of tasks with heads of one kind in both networks.

    Raises:
        UsageError: If a task has no such heads, or their outputs mean something else.
    """
    both = [task for task in own if task in theirs]
    named = teacher.weight if isinstance(teacher.weight, Mapping) else dict.fromkeys(both, teacher.weight)
    wanted = {task: weight for task, weight in named.items() if weight}
    if not wanted and not teacher.features:
        raise UsageError(
            f"expected a task of this model ({', '.join(own)}), found {', '.join(theirs)} in {teacher.name}",
            "model.teacher",
        )
    for task in wanted:
        if task not in both:
            lacks = "this model" if task not in own else teacher.name
            raise UsageError(f"{lacks} has no task {task}: leave it out", "model.teacher.weight")
        if type(own[task]) is not type(theirs[task]):
            raise UsageError(
                f"expected a {type(own[task]).__name__} for {task} in {teacher.name}, found a "
                f"{type(theirs[task]).__name__}: leave the task out of model.teacher.weight, as in "
                "{semantic: 1.0}",
                "model.teacher",
            )
        _check_options(own[task], theirs[task], task, teacher.name)
        if type(own[task]).distillation is Head.distillation:  # type: ignore[attr-defined]
            raise UsageError(
                f"outputs of a {type(own[task]).__name__} cannot be compared value by value: leave {task} "
                "out, as in {semantic: 1.0}",
                "model.teacher.weight",
            )
    return wanted


def _check_options(own: nn.Module, theirs: nn.Module, task: str, run: str) -> None:
    """Raises a UsageError if two heads of one kind have options by which their outputs differ in meaning."""
    for option in getattr(own, "output_options", ()):
        expected = getattr(own, option)
        found = getattr(theirs, option)
        if found != expected:
            raise UsageError(
                f"expected {option} {expected} of the head for {task} as in this model, found {found} in "
                f"{run}, so that outputs of equal values differ in meaning: set the same, or leave {task} "
                "out of model.teacher.weight, as in {semantic: 1.0}",
                "model.teacher",
            )


def check_channels(own: Network, theirs: Network, run: str) -> None:
    """Raises a UsageError if two networks read images of different numbers of channels."""
    channels = [getattr(network.encoder, "mean", torch.empty(1, 0)).shape[1] for network in (own, theirs)]
    if channels[0] != channels[1]:
        raise UsageError(
            f"expected a model that reads images of {channels[0]} channels, found {channels[1]} in {run}",
            "model.teacher",
        )
