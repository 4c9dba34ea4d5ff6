"""An adapter for external losses that return a mean."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusionseg.losses.base import Loss
from fusionseg.sample import VOID


class MeanLoss(Loss):
    """An external loss of the form `loss(output, target) -> mean`, applied to one image at a time.

    The weight is the number of images with a labelled pixel. Images without any are passed to the external
    loss as zeros and left out of the sum, so that it may be undefined there. The external loss may wait for
    the device.

    Args:
        loss: Recipe of the external loss, for example `segmentation_models_pytorch.losses.JaccardLoss` with
            `mode: multiclass` and `ignore_index: 255`.
        ignore_index: Written into the target wherever a pixel is not labelled; the external loss must ignore
            it.
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
        images = zip(output.unsqueeze(1), target.unsqueeze(1), strict=True)
        losses = torch.stack([self.loss(*image) for image in images])
        return losses.where(labelled, 0).sum(), labelled.sum().to(output.dtype)
