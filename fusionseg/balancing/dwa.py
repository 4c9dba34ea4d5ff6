"""Dynamic weight average."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer


class DWA(Balancer):
    """Dynamic weight average: tasks whose loss decreases slowly get larger weights (arXiv:1803.10704, eq. 7).

    The weights add up to T. They are 1 until every active task has had two epochs with labels.

    Args:
        tasks: Number of tasks, T.
        temperature: The higher, the more uniform the weights; above 0.

    Raises:
        ValueError: If the temperature is not above 0.
    """

    total: Tensor
    steps: Tensor
    means: Tensor

    def __init__(self, tasks: int, temperature: float = 2.0) -> None:
        super().__init__(tasks)
        if not temperature > 0:
            raise ValueError(f"expected a temperature above 0, found {temperature}")
        self.temperature = temperature
        # the sum of this epoch's losses and the number of steps with labels, then the means of the last two
        # epochs
        self.register_buffer("total", torch.zeros(tasks))
        self.register_buffer("steps", torch.zeros(tasks))
        self.register_buffer("means", torch.zeros(2, tasks))

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """T softmax(r / temperature) (T,), where r is the ratio of the mean losses of the last two epochs."""
        ratios = self.means[1] / self.means[0]
        known = (ratios.isfinite() | ~active).all()
        logits = (ratios / self.temperature).where(active, -torch.inf)
        return torch.where(known, torch.softmax(logits, 0) * active.sum(), 1.0)

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        self.total += losses.where(active, 0.0)
        self.steps += active

    @override
    def epoch_ended(self) -> None:
        """Moves the epoch's mean losses into the history; tasks without labels in it keep theirs."""
        newer = torch.stack([self.means[1], self.total / self.steps])
        self.means.copy_(torch.where(self.steps > 0, newer, self.means))
        self.total.zero_()
        self.steps.zero_()
