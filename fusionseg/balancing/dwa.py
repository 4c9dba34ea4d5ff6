"""Dynamic weight average."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer


class DWA(Balancer):
    """Dynamic weight average: tasks whose loss falls slowly from epoch to epoch weigh more (arXiv:1803.10704, eq. 7).

    The weights add up to T. They are 1 until every active task has had two epochs with labels.

    Args:
        tasks: Number of tasks.
        temperature: The higher, the more equal the weights.
    """

    total: Tensor
    steps: Tensor
    means: Tensor

    def __init__(self, tasks: int, temperature: float = 2.0) -> None:
        super().__init__(tasks)
        if not temperature > 0:
            raise ValueError(f"expected a temperature above 0, found {temperature}")
        self.temperature = temperature
        self.register_buffer("total", torch.zeros(tasks))
        self.register_buffer("steps", torch.zeros(tasks))
        self.register_buffer("means", torch.zeros(2, tasks))

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """T softmax(r / temperature), where r is the ratio of the mean losses of the last two epochs."""
        rates = self.means[1] / self.means[0]
        weights = torch.softmax((rates / self.temperature).where(active, -torch.inf), 0) * active.sum()
        return torch.where((rates.isfinite() | ~active).all(), weights, 1.0)

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        self.total += losses.where(active, 0.0)
        self.steps += active

    @override
    def epoch_ended(self) -> None:
        newer = torch.stack([self.means[1], self.total / self.steps])
        self.means.copy_(torch.where(self.steps > 0, newer, self.means))
        self.total.zero_(), self.steps.zero_()
