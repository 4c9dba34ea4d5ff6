"""FAMO."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.task_adam import TaskAdam


class FAMO(Balancer):
    """Fast adaptive multitask optimization: all losses fall at the same relative rate (arXiv:2306.03792, alg. 1).

    After each step it takes the losses of the same batch once more, with the same dropout and without touching batch
    statistics: a forward pass without gradients on top of each step. Under accumulation that is the last micro-batch.

    Args:
        tasks: Number of tasks.
        lr: Learning rate of the tasks' logits.
        weight_decay: How strongly the logits are pulled to 0.
    """

    absorbs = True
    looks_again = True

    def __init__(self, tasks: int, lr: float = 0.025, weight_decay: float = 1e-3) -> None:
        super().__init__(tasks)
        self.logits = TaskAdam(torch.zeros(tasks), lr, weight_decay)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """Z / L, rescaled to the sum 1, with z = softmax(logits)."""
        shares = self._shares(active) / losses.where(active, 1.0).clamp(min=1e-8)
        return shares / shares.sum()

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        (before, active), after = self.seen[-1], self.again
        if after is None:
            raise ValueError("FAMO expects to be told the losses after the step")
        fall = (torch.log(before.clamp(min=1e-8)) - torch.log(after.clamp(min=1e-8))).where(active, 0.0)
        shares = self._shares(active)
        self.logits.step(shares * (fall - (shares * fall).sum()), active & (active.sum() > 1))

    def _shares(self, active: Tensor) -> Tensor:
        return torch.softmax(self.logits.value.where(active, -torch.inf), 0).where(active, 0.0)
