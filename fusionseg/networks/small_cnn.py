"""A small convolutional encoder for small images, such as gray ones of 28 x 28 pixels."""

from torch import Tensor, nn

NAME = "small_cnn"
"""The encoder's name in a `Backbone`."""

WIDTHS = (32, 64, 128, 128, 128)
"""Channels of its stages, at strides 2, 4, 8, 16 and 32."""


class SmallCNN(nn.Module):
    """The classic image classifier without its last layers: five times convolution, ReLU and pooling.

    After LeNet-5 (LeCun et al., 1998), with batch normalization. Images of 28 x 28 pixels are padded to
    32 x 32, as there, and leave one pixel. It has what segmentation-models-pytorch asks of an encoder.

    Args:
        depth: The number of stages.
        output_stride: Stride of the deepest map, which is not dilated: 32.
    """

    def __init__(self, depth: int = 5, output_stride: int = 32) -> None:
        super().__init__()
        self.output_stride = output_stride
        self.out_channels = [3, *WIDTHS[:depth]]
        self.stages = nn.ModuleList(map(_stage, self.out_channels[:-1], self.out_channels[1:]))

    def set_in_channels(self, in_channels: int, pretrained: bool = False) -> None:
        """Takes images of so many channels, with new weights of the first stage if these are not three."""
        if in_channels != 3:
            self.out_channels[0] = in_channels
            self.stages[0] = _stage(in_channels, WIDTHS[0])

    def make_dilated(self, output_stride: int) -> None:
        """Raises a ValueError, since its maps shrink by pooling, which cannot be dilated."""
        raise ValueError(f"{NAME} has no maps of stride {output_stride} that are deeper")

    def forward(self, image: Tensor) -> list[Tensor]:
        """The image (B, C, H, W) and the map of each stage."""
        features = [image]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


def register() -> None:
    """Adds the encoder to those that segmentation-models-pytorch builds by name, in its documented way."""
    import segmentation_models_pytorch as smp

    smp.encoders.encoders[NAME] = {"encoder": SmallCNN, "pretrained_settings": {}, "params": {}}


def _stage(before: int, width: int) -> nn.Sequential:
    """A convolution with batch normalization and ReLU, and the maximum of each 2 x 2 pixels."""
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
