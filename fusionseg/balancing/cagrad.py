"""CAGrad."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.simplex import best, faces, inverses


class CAGrad(GradientBalancer):
    """The step near the mean gradient that helps the task it helps least the most (arXiv:2110.14048, eq. 4).

    With w on the simplex and phi = c^2 |g0|^2 its dual is min g0 g_w + sqrt(phi) |g_w|, where g0 is the mean and g_w
    the weighted sum of the gradients. On a face, where it is free of constraints, this has a closed form.

    Args:
        tasks: Number of tasks.
        c: Radius of the ball around the mean gradient, as a share of its length, in [0, 1).
    """

    def __init__(self, tasks: int, c: float = 0.4, **shared: Any) -> None:
        if not 0 <= c < 1:
            raise ValueError(f"CAGrad converges for c in [0, 1), found {c}")
        self.c = c
        super().__init__(tasks, **shared)

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """1 / T plus the dual's weights, scaled to the radius; 0 at a Pareto-stationary point."""
        mean = active.to(gramian.dtype) / active.sum()
        towards = gramian @ mean  # inner products of all gradients with the mean
        phi = self.c**2 * (mean @ towards).clamp(
            min=0
        )  # rounding can make it negative where gradients cancel
        masks = faces(active)
        inverse = inverses(gramian, masks)
        # stationary on a face: G w sqrt(phi) / |g_w| = mu - towards, and w adds up to 1
        a, b, c = inverse.sum((1, 2)), (inverse @ towards).sum(1), (inverse @ towards) @ towards
        root = (b**2 - a * (c - phi)).sqrt()
        mu = (b + root) / a
        points = (mu[:, None] * inverse.sum(2) - inverse @ towards) / root[:, None]
        points = torch.where(
            masks.sum(1, keepdim=True) == 1, masks.to(points.dtype), points
        )  # exact, also for c = 0
        length = ((points @ gramian) * points).sum(1).clamp(min=0).sqrt()
        weights = best(points, points @ towards + phi.sqrt() * length, masks.any(1))
        reached = (weights @ gramian @ weights).clamp(min=0).sqrt()
        return torch.where(
            reached > 1e-7 * gramian.trace().sqrt(), mean + phi.sqrt() / reached * weights, 0.0
        )
