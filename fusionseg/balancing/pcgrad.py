"""PCGrad: gradients are projected onto the normal planes of conflicting ones."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer, orders


class PCGrad(GradientBalancer):
    """Projecting conflicting gradients (Yu et al., NeurIPS 2020, arXiv:2001.06782, algorithm 1).

    Each gradient is projected onto the normal plane of every other one that it conflicts with, in random
    order, and the results are added. Without conflicts this is the plain sum.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The coefficients of all projected gradients, added up (T,)."""
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        coefficients = []
        for i, others in orders(len(gramian)):
            own = identity[i]  # coefficients of the projected gradient of task i
            for j in others:
                product = gramian[j] @ own
                removed = torch.where(product < 0, product / gramian[j, j], 0.0)
                own = own - removed * identity[j]
            coefficients.append(own.where(active[i], 0.0))
        return torch.stack(coefficients).sum(0)
