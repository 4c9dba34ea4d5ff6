"""Gradient Vaccine: gradients are turned towards each other until their cosines reach a running mean."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer, orders


class GradVac(GradientBalancer):
    """Gradient Vaccine (Wang et al., ICLR 2021, arXiv:2010.05874, algorithm 1).

    Where the cosine of two gradients is below its exponential moving average, equation 4 adds a multiple of
    the other gradient. The result is the sum of all gradients that were turned in this way.

    Args:
        tasks: Number of tasks, T.
        beta: Weight of the current cosine in the moving average, in [0, 1].
        shared: The arguments of `GradientBalancer`.

    Raises:
        ValueError: If `beta` is outside of [0, 1].
    """

    cosines: Tensor

    def __init__(self, tasks: int, beta: float = 0.01, **shared: Any) -> None:
        if not 0 <= beta <= 1:
            raise ValueError(f"expected beta in [0, 1], found {beta}")
        self.beta = beta
        super().__init__(tasks, **shared)
        self.register_buffer("cosines", torch.zeros(tasks, tasks, dtype=torch.float64))

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The coefficients of all turned gradients, added up (T,)."""
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        norms = gramian.diagonal().sqrt()
        averages = self.cosines.clone()
        coefficients = []
        for i, others in orders(len(gramian)):
            own = identity[i]  # coefficients of the turned gradient of task i
            for j in others:
                norm = (own @ gramian @ own).clamp(min=0).sqrt()
                cosine = ((own @ gramian[j]) / (norm * norms[j])).clamp(-1, 1)
                goal = averages[i, j].clone()
                added = norm * (goal * (1 - cosine**2).sqrt() - cosine * (1 - goal**2).sqrt())
                added = added / (norms[j] * (1 - goal**2).clamp(min=1e-12).sqrt())
                both = active[i] & active[j] & (norm > 0)
                own = own + torch.where(both & (cosine < goal), added, 0.0) * identity[j]
                averages[i, j] = torch.where(both, (1 - self.beta) * goal + self.beta * cosine, goal)
            coefficients.append(own.where(active[i], 0.0))
        self.next["cosines"] = averages
        return torch.stack(coefficients).sum(0)
