"""CAGrad: the step near the mean gradient that most improves the task that improves least."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.simplex import best, faces, inverses


class CAGrad(GradientBalancer):
    """Conflict-averse gradient descent (Liu et al., NeurIPS 2021, arXiv:2110.14048, eq. 4).

    With w on the simplex and phi = c^2 |g0|^2, the dual problem is min g0 g_w + sqrt(phi) |g_w|, where g0 is
    the mean and g_w the weighted sum of the gradients. On each face of the simplex it has a closed form.

    Args:
        tasks: Number of tasks.
        c: Radius of the ball around the mean gradient, as a fraction of its length, in [0, 1).
        shared: The arguments of `GradientBalancer`.

    Raises:
        ValueError: If `c` is outside of [0, 1).
    """

    def __init__(self, tasks: int, c: float = 0.4, **shared: Any) -> None:
        if not 0 <= c < 1:
            raise ValueError(f"CAGrad converges for c in [0, 1), found {c}")
        self.c = c
        super().__init__(tasks, **shared)

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """1 / T plus the solution of the dual, scaled to the radius (T,); 0 at a Pareto-stationary point."""
        mean = active.to(gramian.dtype) / active.sum()
        with_mean = gramian @ mean  # inner products of all gradients with the mean
        # rounding can make it negative where gradients cancel
        phi = self.c**2 * (mean @ with_mean).clamp(min=0)
        masks = faces(active)
        points = _stationary_points(gramian, with_mean, phi, masks)
        length = ((points @ gramian) * points).sum(1).clamp(min=0).sqrt()
        weights = best(points, points @ with_mean + phi.sqrt() * length, masks.any(1))
        reached = (weights @ gramian @ weights).clamp(min=0).sqrt()
        moving = reached > 1e-7 * gramian.trace().sqrt()
        return torch.where(moving, mean + phi.sqrt() / reached * weights, 0.0)


def _stationary_points(gramian: Tensor, with_mean: Tensor, phi: Tensor, masks: Tensor) -> Tensor:
    """The stationary point of the dual on each face (F, T).

    There G w sqrt(phi) / |g_w| = mu - G m, where m is the mean, and w adds up to 1, which gives a quadratic
    equation for the multiplier mu.
    """
    inverse = inverses(gramian, masks)
    projected = inverse @ with_mean
    a = inverse.sum((1, 2))
    b = projected.sum(1)
    c = projected @ with_mean
    root = (b**2 - a * (c - phi)).sqrt()
    mu = (b + root) / a
    points = (mu[:, None] * inverse.sum(2) - projected) / root[:, None]
    # a vertex is its own solution, exactly, also where c = 0 makes the root vanish
    vertex = masks.sum(1, keepdim=True) == 1
    return torch.where(vertex, masks.to(points.dtype), points)
