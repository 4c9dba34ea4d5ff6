"""FAMO: all losses decrease at the same relative rate."""

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.task_adam import TaskAdam

SMALLEST = 1e-8
"""Losses are clamped to this before they are divided by or their logarithm is taken."""


class FAMO(Balancer):
    """Fast adaptive multitask optimization (Liu et al., NeurIPS 2023, arXiv:2306.03792, algorithm 1).

    After each step it needs the losses of the same batch again, with the same dropout and without updating
    batch statistics: one more forward pass without gradients per step. With gradient accumulation this is the
    last micro-batch.

    Args:
        tasks: Number of tasks.
        lr: Learning rate of the tasks' logits.
        weight_decay: How strongly the logits are pulled towards 0.

    Raises:
        ValueError: If the learning rate or the weight decay is negative or infinite.
    """

    absorbs = True
    looks_again = True

    def __init__(self, tasks: int, lr: float = 0.025, weight_decay: float = 1e-3) -> None:
        super().__init__(tasks)
        self.logits = TaskAdam(torch.zeros(tasks), lr, weight_decay)

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The weights z / L (T,) with z = softmax(logits), rescaled to add up to 1."""
        weights = self._softmax(active) / losses.where(active, 1.0).clamp(min=SMALLEST)
        return weights / weights.sum()

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        """Moves the logits by the decrease of the log losses of the last micro-batch.

        Raises:
            ValueError: If the losses after the step were not passed to `stepped`.
        """
        before, active = self.seen[-1]
        after = self.again
        if after is None:
            raise ValueError("FAMO expects the losses after the step: pass them to stepped(again=...)")
        decrease = torch.log(before.clamp(min=SMALLEST)) - torch.log(after.clamp(min=SMALLEST))
        decrease = decrease.where(active, 0.0)
        z = self._softmax(active)
        # the derivative of z * decrease with respect to the logits
        gradient = z * (decrease - (z * decrease).sum())
        self.logits.step(gradient, active & (active.sum() > 1))

    def _softmax(self, active: Tensor) -> Tensor:
        """The softmax of the active tasks' logits (T,), 0 for inactive ones."""
        return torch.softmax(self.logits.value.where(active, -torch.inf), 0).where(active, 0.0)
