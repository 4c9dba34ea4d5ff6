"""Random loss weighting."""

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer


class RLW(Balancer):
    """Random weights that add up to 1, anew in each step: the litmus test of balancers (arXiv:2111.10603, alg. 2)."""

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The softmax of normal numbers, drawn on the host."""
        drawn = torch.randn(self.tasks).to(losses.device, losses.dtype, non_blocking=True)
        return torch.softmax(drawn.where(active, -torch.inf), 0)
