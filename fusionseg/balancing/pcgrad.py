"""PCGrad."""

import torch
from torch import Tensor

from fusionseg.balancing.gradient import GradientBalancer, orders


class PCGrad(GradientBalancer):
    """The sum of the gradients after each has lost what conflicts with another (arXiv:2001.06782, algorithm 1).

    Without a conflict it is the plain sum. The others are visited in random order.
    """

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The coefficients of all projected gradients, added."""
        identity = torch.eye(len(gramian), dtype=gramian.dtype, device=gramian.device)
        rows = []
        for i, others in orders(len(gramian)):
            own = identity[i]
            for j in others:
                overlap = gramian[j] @ own
                share = torch.where(overlap < 0, overlap / gramian[j, j], 0.0)
                own = own - share * identity[j]
            rows.append(own.where(active[i], 0.0))
        return torch.stack(rows).sum(0)
