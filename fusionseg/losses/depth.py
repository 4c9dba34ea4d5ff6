"""Losses of depth that do not weigh all meters the same.

Output and target are depths in meters (B, 1, H, W). Depths below 1 mm count as 1 mm, so that their inverse
and logarithm are finite.
"""

import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.losses.base import Loss, check_same_shape

_NEAREST = 1e-3


class InverseDepthError(Loss):
    """Absolute difference of the inverse depths, in 1/m: near pixels count more than far ones.

    The weight is the number of labelled pixels.
    """

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the labelled pixels' losses, and their number.

        Raises:
            UserError: If output and target differ in shape.
        """
        check_same_shape(self, output, target)
        predicted = _meters(output, mask).reciprocal()
        true = _meters(target.to(output.dtype), mask).reciprocal()
        return (predicted - true).abs().sum(), mask.sum().to(output.dtype)


class ScaleInvariantError(Loss):
    """Scale-invariant log loss of each image (Eigen et al., arXiv:1406.2283, eq. 4).

    With d = log(output) - log(target) at the n labelled pixels of an image, its loss is
    sum(d^2) / n - lambda * (sum(d) / n)^2. The weight is the number of images with a labelled pixel.

    Args:
        scale_invariance: The paper's lambda, in [0, 1]: 0 is the squared log error; at 1 a common factor of
            all depths of an image costs nothing. The paper trains with 0.5.

    Raises:
        ValueError: If `scale_invariance` is not in [0, 1].
    """

    def __init__(self, scale_invariance: float = 0.5) -> None:
        super().__init__()
        if not 0 <= scale_invariance <= 1:
            raise ValueError(f"expected a scale_invariance in [0, 1], found {scale_invariance}")
        self.scale_invariance = scale_invariance

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the images' losses, and the number of labelled images.

        Raises:
            UserError: If output and target are not two of the same shape (B, 1, H, W).
        """
        check_same_shape(self, output, target)
        if output.shape[1] != 1:
            raise UserError(f"{type(self).__name__} expects depths (B, 1, H, W), found {tuple(output.shape)}")
        # both are 1 m where nothing is labelled, so that the difference is 0 there
        difference = (_meters(output, mask).log() - _meters(target.to(output.dtype), mask).log()).flatten(1)
        labelled = mask.flatten(1)
        number = labelled.sum(1).clamp_min(1)
        mean = difference.sum(1) / number
        # The paper's difference of two sums in the form variance + (1 - lambda) * mean^2, which cancels no
        # digits.
        deviation = (difference - mean.unsqueeze(1)).where(labelled, 0)
        variance = deviation.square().sum(1) / number
        losses = variance + (1 - self.scale_invariance) * mean.square()
        return losses.sum(), labelled.any(1).sum().to(output.dtype)


def _meters(depth: Tensor, mask: Tensor) -> Tensor:
    """The depth (B, 1, H, W), not below `_NEAREST`, and 1 where nothing is labelled."""
    return torch.where(mask.unsqueeze(1), depth, 1).clamp_min(_NEAREST)
