"""The door for losses that were written elsewhere."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusionseg.losses.base import Loss
from fusionseg.sample import VOID


class MeanLoss(Loss):
    """A foreign loss of the form `loss(output, target) -> mean`, applied to one image at a time.

    The weight is the number of images with a labelled pixel. Images without any are shown to the foreign loss as zeros
    and left out of the sum, so that it may be undefined there. Whether it waits for the device is its own affair.

    Args:
        loss: Recipe of the foreign loss, for example `segmentation_models_pytorch.losses.JaccardLoss` with
            `mode: multiclass` and `ignore_index: 255`.
        ignore_index: Written into the target wherever a pixel is not labelled; the foreign loss must ignore it.
    """

    def __init__(self, loss: Callable[[], nn.Module], ignore_index: int = VOID) -> None:
        super().__init__()
        self.loss = loss()
        self.ignore_index = ignore_index

    def total(self, output: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the images' losses, and the number of labelled images."""
        labelled = mask.flatten(1).any(1)
        output = output.where(labelled[:, None, None, None], 0)
        void = labelled[:, None, None] & ~mask
        target = target.masked_fill(void.unsqueeze(1) if target.ndim == 4 else void, self.ignore_index)
        images = torch.stack(
            [self.loss(*pair) for pair in zip(output.unsqueeze(1), target.unsqueeze(1), strict=True)]
        )
        return images.where(labelled, 0).sum(), labelled.sum().to(output.dtype)
