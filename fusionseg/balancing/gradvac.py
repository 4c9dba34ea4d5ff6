"""Gradient Vaccine."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer, orders


class GradVac(GradientBalancer):
    """The sum of the gradients, each turned until its cosines are what they usually are (arXiv:2010.05874).

    Algorithm 1: where a cosine falls below its running mean, equation 4 adds a part of the other gradient.

    Args:
        tasks: Number of tasks.
        beta: How fast the running means follow, in [0, 1].
    """

    cosines: Tensor

    def __init__(self, tasks: int, beta: float = 0.01, **shared: Any) -> None:
        if not 0 <= beta <= 1:
            raise ValueError(f"expected beta in [0, 1], found {beta}")
        self.beta = beta
        super().__init__(tasks, **shared)
        self.register_buffer("cosines", torch.zeros(tasks, tasks, dtype=torch.float64))

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The coefficients of all turned gradients, added."""
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        lengths, usual, rows = gramian.diagonal().sqrt(), self.cosines.clone(), []
        for i, others in orders(len(gramian)):
            own = identity[i]
            for j in others:
                length = (own @ gramian @ own).clamp(min=0).sqrt()
                cosine = ((own @ gramian[j]) / (length * lengths[j])).clamp(-1, 1)
                goal = usual[i, j].clone()
                part = length * (goal * (1 - cosine**2).sqrt() - cosine * (1 - goal**2).sqrt())
                part = part / (lengths[j] * (1 - goal**2).clamp(min=1e-12).sqrt())
                both = active[i] & active[j] & (length > 0)
                own = own + torch.where(both & (cosine < goal), part, 0.0) * identity[j]
                usual[i, j] = torch.where(both, (1 - self.beta) * goal + self.beta * cosine, goal)
            rows.append(own.where(active[i], 0.0))
        self.next["cosines"] = usual
        return torch.stack(rows).sum(0)
