"""Uncertainty weighting."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.task_adam import TaskAdam


class UW(Balancer):
    """Uncertainty weighting (Kendall et al., arXiv:1705.07115, eq. 7).

    The sum of L e^-s / 2 + s / 2 is minimized, with a learned s per task. At the optimum of s every weighted
    loss is 1/2, whatever alpha and beta are.

    Args:
        tasks: Number of tasks.
        lr: Learning rate of s, the logarithm of a task's variance.

    Raises:
        ValueError: If the learning rate is negative or infinite.
    """

    absorbs = True

    def __init__(self, tasks: int, lr: float = 1e-3) -> None:
        super().__init__(tasks)
        self.log_variance = TaskAdam(torch.zeros(tasks), lr)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """e^-s / 2 (T,)."""
        return 0.5 * torch.exp(-self.log_variance.value)

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        gradient = 0.5 - self.loss_weights(losses, active) * losses
        self.log_variance.step(gradient, active)
