"""MGDA: the vector of minimum norm in the convex hull of the gradients."""

from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.simplex import best, faces, inverses


class MGDA(GradientBalancer):
    """Multiple gradient descent algorithm (Desideri, 2012; for networks arXiv:1810.04650, eq. 3).

    The weights add up to 1. The problem is solved exactly, by enumerating the faces of the simplex, instead
    of iteratively by Frank-Wolfe.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The minimizer of w G w over the simplex (T,)."""
        masks = faces(active)
        points = inverses(gramian, masks).sum(2)
        points = points / points.sum(1, keepdim=True)
        squared_norms = ((points @ gramian) * points).sum(1)
        return best(points, squared_norms, masks.any(1))
