"""Losses of dense targets: numbers or probabilities at every pixel. The weight is the number of labelled pixels."""

import torch.nn.functional as F
from torch import Tensor

from fusionseg.losses.base import Loss


class MeanSquaredError(Loss):
    """Squared distance of output and target (B, K, H, W): summed over the channels, so K adds to the scale."""

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the labelled pixels' losses, and their number."""
        _check_shapes(self, output, target)
        output = output.where(mask.unsqueeze(1), 0)
        return F.mse_loss(output, target.to(output.dtype), reduction="sum"), mask.sum().to(output.dtype)


class AbsoluteError(Loss):
    """Absolute distance of output and target (B, K, H, W): summed over the channels, so K adds to the scale."""

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the labelled pixels' losses, and their number."""
        _check_shapes(self, output, target)
        output = output.where(mask.unsqueeze(1), 0)
        return F.l1_loss(output, target.to(output.dtype), reduction="sum"), mask.sum().to(output.dtype)


class BalancedBCE(Loss):
    """Class-balanced cross-entropy of a boundary's logit (B, 1, H, W) (HED, arXiv:1504.06375, eq. 2).

    The target (B, H, W) is 1 on boundaries and 0 elsewhere. Boundary pixels weigh beta, the others 1 - beta, where beta
    is the share of non-boundary pixels among the labelled pixels of the same image. HED adds the pixels up; here the
    weight of the sum is that of its pixels, so that chance is log 2 however rare boundaries are. An image without
    boundaries, or of nothing else, neither costs nor weighs anything.
    """

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the labelled pixels' losses, and the sum of their weights."""
        logit, boundary = output.squeeze(1), target.to(output.dtype)
        _check_shapes(self, logit, boundary)
        labelled = mask.sum((1, 2), keepdim=True)
        beta = 1 - boundary.sum((1, 2), keepdim=True) / labelled.clamp_min(1)
        weight = (beta * boundary + (1 - beta) * (1 - boundary)).where(mask, 0)
        losses = (1 - boundary) * logit - F.logsigmoid(logit)
        return (weight * losses).sum(), weight.sum()


def _check_shapes(loss: Loss, output: Tensor, target: Tensor) -> None:
    if output.shape != target.shape:
        found = f"{tuple(output.shape)} and {tuple(target.shape)}"
        raise ValueError(f"{type(loss).__name__} expects output and target of one shape, found {found}")
