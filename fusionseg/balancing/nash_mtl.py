"""Nash-MTL."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer

ITERATIONS = 30
"""Newton steps; with two tasks the start is the solution unless they are nearly opposite."""


class NashMTL(GradientBalancer):
    """The Nash bargaining solution of the tasks (arXiv:2202.01017, claim 3.1).

    The length of every gradient cancels, and so does every factor of a loss. With two tasks this has the direction of
    IMTL-G, at the constant length sqrt(2).
    """

    absorbs = True

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The positive solution of G w = 1 / w, by Newton's damped method on the convex x C x / 2 - sum log x."""
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        lengths = gramian.diagonal().sqrt().where(active, 1.0)
        cosines = (gramian / lengths / lengths[:, None]).where(
            active[:, None] & active, identity
        ) + 1e-14 * identity
        x = cosines.sum(1).clamp(min=0.05).rsqrt()
        for _ in range(ITERATIONS):
            slope = cosines @ x - 1 / x
            step = torch.linalg.solve_ex(cosines + torch.diag(x**-2), slope).result
            decrement = (slope @ step).clamp(min=0).sqrt()
            x = x - step / torch.where(decrement < 0.25, 1.0, 1 + decrement)
        return x / lengths
