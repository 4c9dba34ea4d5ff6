"""The base class of balancers that weigh gradients."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer

Level = Literal["branch", "parameters"]

CANCELED = 0.01
"""Weights are not rescaled if their sum is less than this fraction of the sum of their absolute values."""


class GradientBalancer(Balancer):
    """Weighs the tasks' gradients of what they share, given the inner products of these gradients.

    Only the shared part sees the weights: heads and task-specific decoders learn from their own loss. With
    gradient accumulation each micro-batch is balanced by itself.

    Args:
        tasks: Number of tasks, T.
        level: Where gradients are compared: at the `branch`, with respect to the shared maps at the branching
            point, which costs next to nothing; or with respect to the shared `parameters`, by one backward
            pass per task.
        normalize: Rescale the weights so that they add up to plus or minus the number of active tasks, unless
            they nearly cancel. The weights of MGDA, for example, add up to 1, so that its steps are smaller
            than those of a plain sum.
        double: Accumulate inner products in float64.
    """

    def __init__(
        self, tasks: int, level: Level = "branch", normalize: bool = False, double: bool = False
    ) -> None:
        super().__init__(tasks)
        self.level = level
        self.normalize = normalize
        self.dtype = torch.float64 if double else torch.float32
        self.losses = torch.ones(tasks)
        """The losses of the last micro-batch (T,)."""
        self.active = torch.ones(tasks, dtype=torch.bool)
        """Which tasks were active in it (T,)."""
        self.next: dict[str, Tensor] = {}
        """New values of buffers by name, which are copied into them once the optimizer step was taken."""

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """Ones (T,): every head learns from its own loss."""
        self.losses = losses
        self.active = active
        return torch.ones_like(losses)

    @abstractmethod
    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The weights of the gradients (T,), float64; entries of tasks that are not active are ignored.

        Args:
            gramian: Inner products of the gradients of the global losses (T, T), float64; 0 for inactive
                tasks.
            active: Which tasks are balanced (T,), bool; the others must not change the values in `next`.
        """

    @torch.no_grad()
    def weigh(self, gramian: Tensor) -> Tensor:
        """The weights (T,) for gradients with these inner products (T, T), in the dtype of the Gramian."""
        exact = gramian.double()
        active = self.active & (exact.diagonal() > 0)
        exact = exact.where(active[:, None] & active, 0.0)
        # a single task is not balanced, so that it does not change the balancer's state
        weights = self.settled(self.gradient_weights(exact, active & (active.sum() > 1)), active)
        if self.normalize:
            total = weights.sum().abs()  # the weights of a reversed direction add up to less than 0
            # the sum is meaningless if the weights nearly cancel, and 0 without an active task
            meaningful = total > CANCELED * weights.abs().sum()
            weights = torch.where(meaningful, weights * (active.sum() / total), weights)
        self.weights = weights.to(gramian.dtype)
        return self.weights

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        """Copies the values that the last micro-batch left in `next` into the buffers."""
        for name, value in self.next.items():
            self.get_buffer(name).copy_(value)
        self.next = {}

    @override
    def begin(self) -> None:
        super().begin()
        self.next = {}


def orders(tasks: int) -> list[tuple[int, list[int]]]:
    """For each task all others in random order, drawn on the host so that all ranks draw the same."""
    return [(task, [j for j in torch.randperm(tasks).tolist() if j != task]) for task in range(tasks)]
