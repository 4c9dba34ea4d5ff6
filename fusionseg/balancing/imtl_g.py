"""IMTL-G."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer


class IMTLG(GradientBalancer):
    """The gradient whose projections onto all tasks' gradients are equally long (Liu et al., ICLR 2021, eq. 6).

    The weights add up to 1, and with three tasks or more may be negative. With two tasks it is ConFIG in direction.
    """

    absorbs = True

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The solution of G w = |g|, rescaled; a multiple of the identity keeps it finite for opposite gradients."""
        lengths = gramian.diagonal().sqrt().where(active, 1.0)
        cosines = gramian / lengths / lengths[:, None] + torch.diag(torch.where(active, 1e-14, 1.0))
        weights: Tensor = torch.linalg.solve_ex(cosines, active.to(gramian.dtype)).result / lengths
        return weights / weights.sum()
