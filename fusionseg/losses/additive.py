"""The base class of losses that are functions of sums over pixels."""

from abc import abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.losses.base import Loss
from fusionseg.losses.enlarging import by_rows
from fusionseg.losses.parts import Stage, in_stages


class AdditiveLoss(Loss):
    """A loss that is a function of sums over pixels, so that no large output is enlarged as a whole."""

    @abstractmethod
    def sums(self, output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The sums over the pixels of each image (B, S).

        Args:
            output: Predictions (B, K, H, W) in float32 or float64, of whole images or of some of their rows.
            target: Ground truth (B, H, W) or (B, K, H, W), 0 where nothing is labelled.
            mask: Labelled pixels (B, H, W) bool.
        """

    def combined(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """The result of `forward` from the sums over all pixels of each image (B, S).

        Here there are two: of the losses, and of the weights.
        """
        total, weight = sums.sum(0).unbind()
        return total, weight

    @override
    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.combined(self.sums(output, target, mask))

    @override
    def in_parts(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.combined(in_stages(output, [Stage(by_rows(self.sums, output, target, mask))]))


def per_image(losses: Tensor, weights: Tensor) -> Tensor:
    """The sums (B, 2) of losses and of weights from their maps, both (B, H, W)."""
    return torch.stack([losses.sum((1, 2)), weights.sum((1, 2)).to(losses.dtype)], 1)
