"""Uncertainty weighting."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.task_adam import TaskAdam


class UW(Balancer):
    """Uncertainty weighting: the sum of L e^-s / 2 + s / 2 with a learned s for each task (arXiv:1705.07115, eq. 7).

    Where it comes to rest every weighted loss is 1/2, whatever alpha and beta are.

    Args:
        tasks: Number of tasks.
        lr: Learning rate of s.
    """

    absorbs = True

    def __init__(self, tasks: int, lr: float = 1e-3) -> None:
        super().__init__(tasks)
        self.log_variance = TaskAdam(torch.zeros(tasks), lr)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """e^-s / 2."""
        return 0.5 * torch.exp(-self.log_variance.value)

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        self.log_variance.step(0.5 - self.loss_weights(losses, active) * losses, active)
