"""Geometric loss strategy."""

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer


class GLS(Balancer):
    """The geometric mean of the losses (Chennupati et al., CVPR workshops 2019, eq. 4), for losses above 0."""

    absorbs = True

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The derivatives M / (T L), where M is the geometric mean."""
        count, logs = active.sum(), torch.log(losses.clamp(min=1e-8)).where(active, 0.0)
        return torch.exp(logs.sum() / count - torch.log(losses.clamp(min=1e-8))) / count
