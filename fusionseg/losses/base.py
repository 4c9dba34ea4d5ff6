"""The base class of all losses."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.losses.enlarging import labelled, scaled, wide
from fusionseg.losses.parts import LARGE


class Loss(nn.Module, ABC):
    """A sum over the labelled part of a batch, and the weight to divide it by.

    Neither is normalized, so that sums and weights of images and of ranks may be added: the loss of a global
    batch is the global sum over the global weight. The weight of a loss that is a sum over pixels is the
    number of labelled pixels; that of a loss that is defined per image is the number of images with at least
    one labelled pixel. Without any label sum, weight and every gradient are exactly 0. A loss never waits
    for the device.
    """

    @property
    def title(self) -> str:
        """The name of the loss in messages."""
        return type(self).__name__

    @property
    def needs_counts(self) -> bool:
        """Whether `balance` has to be called before the first batch of training."""
        return False

    def balance(self, counts: Tensor) -> None:
        """Sets what depends on how frequent the classes are; by default nothing does.

        Args:
            counts: Labelled pixels of each class in the training data, shape (C,).
        """

    def forward(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum and its weight, two scalars in float32 (float64 for a float64 output), under autocast too.

        Args:
            output: Predictions, shape (B, K, H, W).
            target: Ground truth, shape (B, H, W) or (B, K, H, W), with any values where nothing is labelled.
            mask: Labelled pixels, bool, shape (B, H, W).

        Raises:
            UserError: If the mask is not bool or not of the output's size.
        """
        if mask.dtype != torch.bool or mask.shape != (output.shape[0], *output.shape[2:]):
            raise UserError(
                f"{type(self).__name__} expects a bool mask (B, H, W) for an output (B, K, H, W), "
                f"found {mask.dtype} {tuple(mask.shape)} for {tuple(output.shape)}: "
                "resize the output to the labels"
            )
        with torch.autocast(output.device.type, enabled=False):
            return self.total(wide(output), labelled(target, mask), mask)

    @abstractmethod
    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The result of `forward`, computed without autocast.

        Args:
            output: Predictions (B, K, H, W) in float32 or float64.
            target: Ground truth (B, H, W) or (B, K, H, W), 0 where nothing is labelled.
            mask: Labelled pixels (B, H, W) bool.
        """

    def in_parts(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The result of `forward` for an output (B, K, h, w) that would be large at the labels' size (H, W).

        A loss of which this class knows no parts enlarges it as a whole, with a warning that names the loss.
        """
        shape = (*output.shape[:2], *mask.shape[1:])
        size = 4 * shape[1] * mask.numel() / 2**30
        warnings.warn(
            f"{self.title} holds the enlarged output {shape} in memory, {size:.2g} GiB for each copy: where "
            "that is too much, choose one that needs only parts of it: CrossEntropy, Focal, Dice or Lovasz",
            stacklevel=2,
        )
        return self.forward(scaled(output, mask.shape[1:]), target, mask)


def sums_and_weights(
    losses: Iterable[Loss], output: Tensor, target: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The sums and weights (K,) of K losses of an output that is enlarged to the labels.

    Args:
        losses: The losses.
        output: Predictions (B, C, h, w).
        target: Ground truth (B, H, W) or (B, C, H, W), with any values where nothing is labelled.
        mask: Labelled pixels (B, H, W) bool.
    """
    with torch.autocast(output.device.type, enabled=False):
        if output.shape[1] * mask.numel() < LARGE:
            enlarged = scaled(output, mask.shape[1:])
            pairs = [loss(enlarged, target, mask) for loss in losses]
        else:
            pairs = [loss.in_parts(output, target, mask) for loss in losses]
    sums, weights = zip(*pairs, strict=True)
    return torch.stack(sums), torch.stack(weights)


def check_same_shape(loss: Loss, output: Tensor, target: Tensor) -> None:
    """Refuses shapes that would otherwise be broadcast.

    Raises:
        UserError: If output and target differ in shape.
    """
    if output.shape != target.shape:
        found = f"{tuple(output.shape)} and {tuple(target.shape)}"
        raise UserError(f"{type(loss).__name__} expects output and target of one shape, found {found}")
