"""IMTL-G: the gradient with equal projections onto all tasks' gradients."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer


class IMTLG(GradientBalancer):
    """Impartial multi-task learning, gradient part (Liu et al., ICLR 2021, eq. 6).

    The weights add up to 1, and may be negative for three tasks or more. For two tasks the direction is that
    of ConFIG.
    """

    absorbs = True

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The solution of G w = |g| (T,), rescaled to add up to 1."""
        norms = gramian.diagonal().sqrt().where(active, 1.0)
        # a small multiple of the identity keeps the solution finite for opposite gradients
        regularization = torch.diag(torch.where(active, 1e-14, 1.0))
        cosines = gramian / norms / norms[:, None] + regularization
        weights: Tensor = torch.linalg.solve_ex(cosines, active.to(gramian.dtype)).result / norms
        return weights / weights.sum()
