"""The decoder of fully convolutional networks."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fusionseg.networks.decoder import Decoder


class FCN(Decoder):
    """A convolution of the encoder's last features, as in torchvision's FCN (arXiv:1411.4038).

    Torchvision's has two layers: 3 x 3 to a quarter of the channels with batch norm, ReLU and dropout, and
    the classifier, which is the head here. The encoder is dilated to stride 8, as torchvision's is.

    Args:
        encoder_channels: Channels of each feature of the pyramid.
    """

    output_stride: ClassVar[int] = 8

    def __init__(self, encoder_channels: Sequence[int]) -> None:
        from torchvision.models.segmentation.fcn import (
            FCNHead,
        )  # all of torchvision's models, which take long

        super().__init__()
        *layers, classifier = FCNHead(encoder_channels[-1], 1)
        self.body = nn.Sequential(*layers)
        self.out_channels = classifier.in_channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, h, w) at the encoder's output stride."""
        return self.body(features[-1])  # type: ignore[no-any-return]
