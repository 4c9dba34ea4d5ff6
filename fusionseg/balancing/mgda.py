"""MGDA."""

from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.simplex import best, faces, inverses


class MGDA(GradientBalancer):
    """The shortest vector in the convex hull of the gradients (Desideri 2012; for networks arXiv:1810.04650, eq. 3).

    The weights add up to 1. Solved exactly, face by face, not by Frank-Wolfe.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The minimum of w G w over the simplex."""
        masks = faces(active)
        points = inverses(gramian, masks).sum(2)
        points = points / points.sum(1, keepdim=True)
        return best(points, ((points @ gramian) * points).sum(1), masks.any(1))
