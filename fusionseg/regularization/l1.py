"""The sum of absolute values."""

import torch
from torch import Tensor, nn

from fusionseg.regularization.base import Regularizer, check_factor


class L1(Regularizer):
    """`R = weight * |w|_1` of all trainable parameters, which draws small ones to 0 (the lasso).

    Args:
        weight: The factor.

    Raises:
        ValueError: If it is negative or not finite.
    """

    def __init__(self, weight: float = 1e-5) -> None:
        check_factor("l1", weight)
        self.weight = weight

    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty, a scalar."""
        learned = [p for p in network.parameters() if p.requires_grad]
        return self.weight * torch.stack([p.abs().sum() for p in learned]).sum()
