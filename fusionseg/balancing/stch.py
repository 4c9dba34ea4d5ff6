"""Smooth Tchebycheff."""

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer


class STCH(Balancer):
    """Smooth Tchebycheff: mu log sum exp(L / (T mu)), close to the largest loss (arXiv:2402.19078, eq. 5).

    Args:
        tasks: Number of tasks.
        mu: The smaller, the more the largest loss weighs.
    """

    def __init__(self, tasks: int, mu: float = 0.1) -> None:
        super().__init__(tasks)
        if not mu > 0:
            raise ValueError(f"expected mu above 0, found {mu}")
        self.mu = mu

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The derivatives, which add up to 1 / T."""
        share = 1 / active.sum()
        return share * torch.softmax((share * losses / self.mu).where(active, -torch.inf), 0)
