"""IMTL-L: learned loss scales at which all weighted losses are equal."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.task_adam import TaskAdam


class IMTLL(Balancer):
    """Impartial multi-task learning, loss part (Liu et al., ICLR 2021, eq. 8).

    The sum of e^s L - s is minimized, with a learned s per task. At the optimum of s every weighted loss is
    1, whatever alpha and beta are.

    Args:
        tasks: Number of tasks.
        lr: Learning rate of s.

    Raises:
        ValueError: If the learning rate is negative or infinite.
    """

    absorbs = True

    def __init__(self, tasks: int, lr: float = 1e-3) -> None:
        super().__init__(tasks)
        self.log_scale = TaskAdam(torch.zeros(tasks), lr)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """e^s (T,)."""
        return torch.exp(self.log_scale.value)

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        gradient = self.loss_weights(losses, active) * losses - 1
        self.log_scale.step(gradient, active)
