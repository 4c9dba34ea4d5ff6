"""Aligned-MTL: gradients whose principal components are made equally long."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer


class AlignedMTL(GradientBalancer):
    """Aligned-MTL (Senushkin et al., CVPR 2023, arXiv:2305.19000, eq. 11).

    The principal components of the gradient matrix are all rescaled to the smallest singular value, and the
    aligned gradients are averaged. This removes conflicts and dominance, at the price of small steps. The
    eigendecomposition synchronizes with a GPU in every step.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The weights B 1 / T (T,) with B = s V S^-1 V'.

        V are the eigenvectors of the Gramian, S the singular values of the gradients, and s is the smallest
        of them that is not zero. The weights are NaN where the Gramian is not finite.
        """
        # eigh would raise; a GradScaler skips the step only if it sees NaN
        finite = gramian.isfinite().all()
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        squares, vectors = torch.linalg.eigh(gramian.where(finite, identity))
        positive = squares > squares.amax() * len(gramian) * torch.finfo(gramian.dtype).eps
        smallest = squares.where(positive, torch.inf).amin()
        scales = (smallest / squares).sqrt().where(positive, 0.0)
        mean = active.to(gramian.dtype) / active.sum()
        weights: Tensor = vectors @ (scales * (vectors.T @ mean))
        return weights.where(finite, torch.nan)
