"""The decoder of SegNet, which puts values back at the maxima of the maps of its pyramid."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from fusionseg.networks.decoder import Decoder


class SegNet(Decoder):
    """The decoder of SegNet (Badrinarayanan, Kendall and Cipolla, TPAMI 2017, arXiv:1511.00561).

    At each level, the map from below is unpooled to twice its size, to where the pyramid's map has the
    maximum of each 2 x 2 window, and convolved. These are the places that the encoder's pooling took values
    from, unless the network changes the maps in between, as `MTAN` does.

    With the encoder `vgg16_bn`, whose levels are followed by such pooling, this is the paper's network up to
    its classifier, which is the head here, a 1 x 1 convolution in place of a 3 x 3 one. Other encoders shrink
    their maps in other ways; if the finest level of one is the image itself, the decoder ends at half its
    size.

    Args:
        encoder_channels: Channels of each feature of the pyramid.
        layers: Convolutions of each level, the coarsest first; those of VGG-16 by default.
        image_channels: Channels of the image; a finest level of as many is the image itself.

    Raises:
        ValueError: If the encoder has a level without a map, or there are more levels than `layers`.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        layers: Sequence[int] = (3, 3, 3, 2, 2),
        image_channels: int = 3,
    ) -> None:
        from segmentation_models_pytorch.base.initialization import initialize_decoder

        super().__init__()
        finest = int(encoder_channels[0] == image_channels)
        self.levels = list(range(len(encoder_channels) - 2, finest - 1, -1))
        if 0 in encoder_channels[1:]:
            raise ValueError(f"SegNet expects a map at each level, found channels {list(encoder_channels)}")
        if len(layers) < len(self.levels):
            raise ValueError(f"expected layers for {len(self.levels)} levels, found {list(layers)}")
        self.out_channels = encoder_channels[finest]
        deepest, first = encoder_channels[-1], encoder_channels[-2]
        self.entry: nn.Module = _convolutions([deepest, first]) if deepest != first else nn.Identity()
        self.blocks = nn.ModuleList()
        for level, number in zip(self.levels, layers, strict=False):
            above = encoder_channels[max(level - 1, finest)]
            self.blocks.append(_convolutions([*[encoder_channels[level]] * number, above]))
        initialize_decoder(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, out_channels, h, w), at stride 1 or 2."""
        found: Tensor = self.entry(features[-1])
        for level, block in zip(self.levels, self.blocks, strict=True):
            found = block(unpooled(found, features[level]))
        return found


def unpooled(values: Tensor, feature: Tensor) -> Tensor:
    """Values (B, C, h, w) at the first maximum of each 2 x 2 window of a map (B, C, 2h, 2w), 0 elsewhere.

    This is `F.max_unpool2d` with the indices of `F.max_pool2d`, in operations that can be exported and whose
    gradient is deterministic.
    """
    windows = torch.unflatten(F.pixel_unshuffle(feature, 2), 1, (-1, 4))
    places = windows.argmax(2, keepdim=True)
    spread = values.new_zeros(windows.shape).scatter(2, places, values.unsqueeze(2))
    return F.pixel_shuffle(spread.flatten(1, 2), 2)


def _convolutions(widths: Sequence[int]) -> nn.Sequential:
    """3 x 3 convolutions with batch norm and ReLU from each width to the next."""
    return nn.Sequential(*(Conv2dNormActivation(before, after, 3) for before, after in pairwise(widths)))
