"""Nash-MTL: the Nash bargaining solution of the tasks."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer

ITERATIONS = 30
"""Newton steps; for two tasks the start is already the solution, unless the gradients are nearly opposite."""


class NashMTL(GradientBalancer):
    """Multi-task learning as a bargaining game (Navon et al., ICML 2022, arXiv:2202.01017, claim 3.1).

    The norm of every gradient cancels, and so does any constant factor of a loss. For two tasks the direction
    is that of IMTL-G, at the constant length sqrt(2).
    """

    absorbs = True

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The positive solution w (T,) of G w = 1 / w.

        With x = w |g| and the matrix of cosines C, it minimizes the convex x C x / 2 - sum log x, which
        Newton's damped method solves.
        """
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        norms = gramian.diagonal().sqrt().where(active, 1.0)
        cosines = (gramian / norms / norms[:, None]).where(active[:, None] & active, identity)
        cosines = cosines + 1e-14 * identity
        x = cosines.sum(1).clamp(min=0.05).rsqrt()
        for _ in range(ITERATIONS):
            slope = cosines @ x - 1 / x
            step = torch.linalg.solve_ex(cosines + torch.diag(x**-2), slope).result
            decrement = (slope @ step).clamp(min=0).sqrt()
            x = x - step / torch.where(decrement < 0.25, 1.0, 1 + decrement)
        return x / norms
