"""What all balancers of gradients have in common."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer

Level = Literal["branch", "parameters"]

CANCELED = 0.01
"""Weights of which so little is left when they are added up are not rescaled."""


class GradientBalancer(Balancer):
    """Weights for the tasks' gradients in what they share, from the inner products of these gradients.

    Only what is shared sees the weights: heads, and decoders of one task, learn from their own loss. Under accumulation
    each micro-batch is balanced by itself.

    Args:
        tasks: Number of tasks.
        level: Where gradients are compared: at the `branch`, the shared maps at which the tasks part, which costs next
            to nothing; or those of the shared `parameters`, by a backward pass for each task.
        normalize: Rescale the weights to the sum that ones would have, unless they all but cancel. The weights of MGDA,
            for one, add up to 1, and the shared part then makes smaller steps than under a plain sum.
        double: Add up inner products in float64.
    """

    def __init__(
        self, tasks: int, level: Level = "branch", normalize: bool = False, double: bool = False
    ) -> None:
        super().__init__(tasks)
        self.level, self.normalize = level, normalize
        self.dtype = torch.float64 if double else torch.float32
        self.losses, self.active = torch.ones(tasks), torch.ones(tasks, dtype=torch.bool)
        self.next: dict[str, Tensor] = {}
        """New values of buffers, which hold once the step was taken."""

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """Ones: every head learns from its own loss."""
        self.losses, self.active = losses, active
        return torch.ones_like(losses)

    @abstractmethod
    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The weights of the gradients (T,) float64, anything where a task is not active or is alone.

        Args:
            gramian: Inner products of the gradients of the global losses (T, T) float64; 0 where not active.
            active: Which tasks are balanced (T,), bool; others must not move what is in `next`.
        """

    @torch.no_grad()
    def weigh(self, gramian: Tensor) -> Tensor:
        """The weights (T,) of gradients with these inner products (T, T), in the gramian's precision."""
        exact = gramian.double()
        active = self.active & (exact.diagonal() > 0)
        exact = exact.where(active[:, None] & active, 0.0)
        # a task that is alone is not balanced, so that nothing is remembered of it
        weights = self.settled(self.gradient_weights(exact, active & (active.sum() > 1)), active)
        if self.normalize:
            total = weights.sum()
            # of weights that all but cancel the sum says nothing, and without an active task there is none
            weights = torch.where(
                total > CANCELED * weights.abs().sum(), weights * (active.sum() / total), weights
            )
        self.weights = weights.to(gramian.dtype)
        return self.weights

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        """Lets the values that the last micro-batch gave hold."""
        for name, value in self.next.items():
            self.get_buffer(name).copy_(value)
        self.next = {}

    @override
    def begin(self) -> None:
        super().begin()
        self.next = {}


def orders(tasks: int) -> list[tuple[int, list[int]]]:
    """Each task with all others in a random order, drawn on the host."""
    return [(i, [j for j in torch.randperm(tasks).tolist() if j != i]) for i in range(tasks)]
