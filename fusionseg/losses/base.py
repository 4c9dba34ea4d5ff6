"""The contract of a loss."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """A sum over the labelled part of a batch, and the weight to divide it by.

    Neither is normalised, so that sums and weights of images and of ranks may be added: the loss of a global batch is
    the global sum over the global weight. A loss that is a sum over pixels weighs the labelled pixels, one that is
    defined per image weighs the images with at least one labelled pixel. Without any label both are zero, and so is
    every gradient. A loss never waits for the device.
    """

    @property
    def needs_counts(self) -> bool:
        """Whether `balance` has to be called before the first batch of training."""
        return False

    def balance(self, counts: Tensor) -> None:
        """Learns how frequent the classes are.

        Args:
            counts: Labelled pixels of each class in the training data, shape (C,).
        """

    def forward(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum and its weight, two scalars in float32 (float64 for a float64 output), under autocast too.

        Args:
            output: What the network says, shape (B, K, H, W).
            target: What it should say, shape (B, H, W) or (B, K, H, W). May hold anything where nothing is labelled.
            mask: Which pixels are labelled, bool, shape (B, H, W).
        """
        if mask.dtype != torch.bool or mask.shape != (output.shape[0], *output.shape[2:]):
            raise ValueError(
                f"{type(self).__name__} expects a bool mask (B, H, W) for an output (B, K, H, W), "
                f"found {mask.dtype} {tuple(mask.shape)} for {tuple(output.shape)}: resize the output to the labels"
            )
        target = target.where(mask.unsqueeze(1) if target.ndim == 4 else mask, 0)
        with torch.autocast(output.device.type, enabled=False):
            return self.total(output.to(torch.promote_types(output.dtype, torch.float32)), target, mask)

    @abstractmethod
    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives, from an output of full precision and a target that is 0 where nothing is labelled."""
