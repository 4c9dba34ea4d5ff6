"""The decoder that concatenates what DeepLabV3's atrous convolutions see."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from fusionseg.networks.decoder import Decoder


class ASPP(Decoder):
    """Atrous spatial pyramid pooling of the encoder's last features (DeepLabV3, arXiv:1706.05587, sec. 3.3).

    A 1 x 1 convolution, dilated 3 x 3 ones and the image's mean, each with batch normalization and ReLU, are
    concatenated, and unlike in DeepLabV3 not reduced: the representation that the tasks of Kendall et al.
    share (arXiv:1705.07115, appendix A). The image's mean needs batches of two images or more on each device.

    Args:
        encoder_channels: Channels of each feature of the pyramid.
        channels: Channels of each branch.
        rates: Dilation of each 3 x 3 convolution, in pixels of the encoder's last features.
    """

    output_stride: ClassVar[int] = 8

    def __init__(
        self, encoder_channels: Sequence[int], channels: int = 256, rates: Sequence[int] = (12, 24, 36)
    ) -> None:
        from torchvision.models.segmentation import deeplabv3  # all of its models, which take long

        super().__init__()
        self.branches = deeplabv3.ASPP(encoder_channels[-1], list(rates), channels).convs
        self.out_channels = channels * len(self.branches)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, h, w) at the encoder's output stride."""
        return torch.cat([branch(features[-1]) for branch in self.branches], 1)
