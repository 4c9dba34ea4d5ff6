"""Random loss weighting."""

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer


class RLW(Balancer):
    """Random loss weighting (Lin et al., arXiv:2111.10603, algorithm 2).

    New weights are drawn in each step, which makes it the baseline of all balancers. The weights add up to 1.
    """

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The softmax of standard normal numbers (T,), drawn on the host so that all ranks draw the same."""
        logits = torch.randn(self.tasks).to(losses.device, losses.dtype, non_blocking=True)
        return torch.softmax(logits.where(active, -torch.inf), 0)
