"""Losses of dense targets: numbers, vectors or probabilities at every pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.losses.additive import AdditiveLoss, per_image
from fusionseg.losses.base import Loss, check_same_shape

_SHORT = 1e-4
"""Vectors shorter than this are divided by it instead of by their length, which bounds the gradient."""


class MeanSquaredError(AdditiveLoss):
    """Squared difference of output and target, summed over the channels.

    A target (B, K, H, W) is compared with the output itself. Where the target is class ids (B, H, W), the
    output is their logits (B, C, H, W), and probabilities are compared with one-hot vectors: for one image
    and its mean this is Brier's score. With one channel, it is the logit of class 1. The weight is the number
    of labelled pixels, whatever K is.
    """

    def sums(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The sums (B, 2) of the labelled pixels' losses, and their number.

        Raises:
            UserError: If output and target differ in shape.
        """
        return per_image(_difference(self, output, target, mask).square().sum(1), mask)


class AbsoluteError(AdditiveLoss):
    """Absolute difference of output and target, summed over the channels.

    It takes what `MeanSquaredError` takes. The weight is the number of labelled pixels, whatever K is.
    """

    def sums(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The sums (B, 2) of the labelled pixels' losses, and their number.

        Raises:
            UserError: If output and target differ in shape.
        """
        return per_image(_difference(self, output, target, mask).abs().sum(1), mask)


class CosineError(Loss):
    """One minus the cosine of the angle between output and target vectors (B, K, H, W).

    The target is a unit vector wherever it is labelled; one of another length counts by its dot product with
    the output. The output's length does not matter, and a vector of length zero costs 1. The weight is the
    number of labelled pixels. This is the loss of surface normals of MTAN (arXiv:1803.10704) and LibMTL, 1 -
    mean(output . target), which take labels of any length too.
    """

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the labelled pixels' losses, and their number.

        Raises:
            UserError: If output and target differ in shape.
        """
        check_same_shape(self, output, target)
        output = F.normalize(output.where(mask.unsqueeze(1), 0), dim=1, eps=_SHORT)
        cosine = (output * target.to(output.dtype)).sum(1)
        return (1 - cosine).where(mask, 0).sum(), mask.sum().to(output.dtype)


class BalancedBCE(Loss):
    """Class-balanced cross-entropy of a boundary's logit (B, 1, H, W) (HED, arXiv:1504.06375, eq. 2).

    The target (B, H, W) is 1 on boundaries and 0 elsewhere. Boundary pixels weigh beta, the others 1 - beta,
    where beta is the share of non-boundary pixels among the labelled pixels of the same image. HED adds the
    pixels up; here the weight of the sum is that of its pixels, so that chance is log 2 however rare
    boundaries are. An image without boundaries, or of nothing else, neither costs nor weighs anything.
    """

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the labelled pixels' losses, and the sum of their weights.

        Raises:
            UserError: If output (B, 1, H, W) and target (B, H, W) differ in size.
        """
        logit = output.squeeze(1)
        boundary = target.to(output.dtype)
        check_same_shape(self, logit, boundary)
        labelled = mask.sum((1, 2), keepdim=True)
        beta = 1 - boundary.sum((1, 2), keepdim=True) / labelled.clamp_min(1)
        weight = (beta * boundary + (1 - beta) * (1 - boundary)).where(mask, 0)
        losses = (1 - boundary) * logit - F.logsigmoid(logit)
        return (weight * losses).sum(), weight.sum()


def _difference(loss: Loss, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Output minus target (B, K, H, W), 0 where nothing is labelled.

    For class ids (B, H, W) it is that of the probabilities and the one-hot vectors.
    """
    labelled = mask.unsqueeze(1)
    output = output.where(labelled, 0)
    if target.ndim == 3 and not target.is_floating_point():
        one = output.shape[1] == 1
        classes = torch.arange(output.shape[1], device=output.device).view(-1, 1, 1) + int(one)
        target = target.unsqueeze(1) == classes
        output = output.sigmoid() if one else output.softmax(1)
    check_same_shape(loss, output, target)
    return (output - target.to(output.dtype)).where(labelled, 0)
