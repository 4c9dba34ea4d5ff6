"""Geometric loss strategy."""

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer


class GLS(Balancer):
    """The geometric mean of the losses (Chennupati et al., CVPR workshops 2019, eq. 4)."""

    absorbs = True

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The derivatives M / (T L) (T,) of the geometric mean M."""
        count = active.sum()
        logs = torch.log(losses.clamp(min=1e-8))
        log_mean = logs.where(active, 0.0).sum() / count
        return torch.exp(log_mean - logs) / count
