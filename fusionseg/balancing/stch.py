"""Smooth Tchebycheff scalarization."""

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer


class STCH(Balancer):
    """Smooth Tchebycheff scalarization (arXiv:2402.19078, eq. 5).

    A smooth maximum of the losses: mu log sum exp(L / (T mu)).

    Args:
        tasks: Number of tasks, T.
        mu: Smoothness, above 0: the smaller, the more the largest loss dominates.

    Raises:
        ValueError: If `mu` is not above 0.
    """

    def __init__(self, tasks: int, mu: float = 0.1) -> None:
        super().__init__(tasks)
        if not mu > 0:
            raise ValueError(f"expected mu above 0, found {mu}")
        self.mu = mu

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The derivatives (T,), which add up to 1 / T."""
        preference = 1 / active.sum()
        logits = (preference * losses / self.mu).where(active, -torch.inf)
        return preference * torch.softmax(logits, 0)
