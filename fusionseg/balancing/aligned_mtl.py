"""Aligned-MTL."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer


class AlignedMTL(GradientBalancer):
    """The mean of the gradients after their principal components were made equally long (arXiv:2305.19000, eq. 11).

    All components are as long as the shortest, so that conflicts and dominance go, and steps become small. The
    decomposition waits for a GPU in every step.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """B 1 / T with B = s V S^-1 V' from the eigenvectors V and singular values S, of which s is the smallest."""
        finite = gramian.isfinite().all()  # a GradScaler has to see where it is not, and eigh would raise
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        squares, vectors = torch.linalg.eigh(gramian.where(finite, identity))
        positive = squares > squares.amax() * len(gramian) * torch.finfo(gramian.dtype).eps
        smallest = squares.where(positive, torch.inf).amin()
        scales = (smallest / squares).sqrt().where(positive, 0.0)
        weights: Tensor = vectors @ (scales * (vectors.T @ (active.to(gramian.dtype) / active.sum())))
        return weights.where(finite, torch.nan)
