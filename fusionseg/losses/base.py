"""The base class of all losses."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError


class Loss(nn.Module, ABC):
    """A sum over the labelled part of a batch, and the weight to divide it by.

    Neither is normalized, so that sums and weights of images and of ranks may be added: the loss of a global
    batch is the global sum over the global weight. The weight of a loss that is a sum over pixels is the
    number of labelled pixels; that of a loss that is defined per image is the number of images with at least
    one labelled pixel. Without any label sum, weight and every gradient are exactly 0. A loss never waits
    for the device.
    """

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
        target = target.where(mask.unsqueeze(1) if target.ndim == 4 else mask, 0)
        with torch.autocast(output.device.type, enabled=False):
            return self.total(output.to(torch.promote_types(output.dtype, torch.float32)), target, mask)

    @abstractmethod
    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The result of `forward`, computed without autocast.

        Args:
            output: Predictions (B, K, H, W) in float32 or float64.
            target: Ground truth (B, H, W) or (B, K, H, W), 0 where nothing is labelled.
            mask: Labelled pixels (B, H, W) bool.
        """


def check_same_shape(loss: Loss, output: Tensor, target: Tensor) -> None:
    """Refuses shapes that would otherwise be broadcast.

    Raises:
        UserError: If output and target differ in shape.
    """
    if output.shape != target.shape:
        found = f"{tuple(output.shape)} and {tuple(target.shape)}"
        raise UserError(f"{type(loss).__name__} expects output and target of one shape, found {found}")
