"""IMTL-L."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.task_adam import TaskAdam


class IMTLL(Balancer):
    """The sum of e^s L - s with a learned s for each task (Liu et al., ICLR 2021, eq. 8).

    Where it comes to rest every weighted loss is 1, whatever alpha and beta are.

    Args:
        tasks: Number of tasks.
        lr: Learning rate of s.
    """

    absorbs = True

    def __init__(self, tasks: int, lr: float = 1e-3) -> None:
        super().__init__(tasks)
        self.log_scale = TaskAdam(torch.zeros(tasks), lr)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """e^s."""
        return torch.exp(self.log_scale.value)

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        self.log_scale.step(self.loss_weights(losses, active) * losses - 1, active)
