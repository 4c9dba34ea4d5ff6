"""GradNorm."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.task_adam import TaskAdam


class GradNorm(GradientBalancer):
    """Weights that are learned so that slow tasks have the larger gradients (arXiv:1711.02257, algorithm 1).

    The gradient of a task is to be as long as the mean, times its relative loss L / L(0) to the power of `asymmetry`,
    where L(0) is its first loss. The weights add up to T and stay above 0. They act on what is shared alone, not on the
    heads.

    Args:
        tasks: Number of tasks.
        asymmetry: How strongly slow tasks are pulled; 0 makes all gradients equally long.
        lr: Learning rate of the weights.
    """

    absorbs = True

    first: Tensor

    def __init__(self, tasks: int, asymmetry: float = 1.5, lr: float = 0.025, **shared: Any) -> None:
        if not asymmetry >= 0:
            raise ValueError(f"expected an asymmetry of 0 or more, found {asymmetry}")
        super().__init__(tasks, **shared)
        self.asymmetry = asymmetry
        self.learned = TaskAdam(torch.ones(tasks), lr)
        self.register_buffer("first", torch.zeros(tasks))
        self.slope: tuple[Tensor, Tensor] | None = None

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The weights in force; the next ones follow once the step was taken."""
        lengths, count = gramian.diagonal().sqrt(), active.sum().clamp(min=1)
        first = torch.where(active & (self.first == 0), self.losses, self.first)
        rates = (self.losses / first).where(active, 0.0)
        own = (self.learned.value * lengths).where(active, 0.0)
        goals = own.sum() / count * (rates / (rates.sum() / count)) ** self.asymmetry
        self.slope = (torch.sign(own - goals) * lengths).to(first.dtype), active
        self.next["first"] = first
        return self.learned.value.double()

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        super().learn(losses, active)
        if self.slope is None:
            return
        slope, active = self.slope
        before = self.learned.value.where(active, 0.0).sum()
        self.learned.step(slope, active)
        value = self.learned.value.clamp(min=1e-3)
        share = before / value.where(active, 0.0).sum()
        self.learned.value.copy_(torch.where(active, value * share, self.learned.value))
        self.slope = None

    @override
    def begin(self) -> None:
        super().begin()
        self.slope = None
