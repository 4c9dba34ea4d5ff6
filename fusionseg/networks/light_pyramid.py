"""A light decoder on the coarse levels of a pyramid, for studies on a frozen encoder."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.networks.decoder import Decoder

FINEST = 3
"""The finest level that is read, at stride 8."""

HEAD_WIDTH = 32
"""Channels of one attention head."""


class LightPyramid(Decoder):
    """The sum of 1x1 convolutions of the levels from stride 8 on, at stride 8, and a transformer if wanted.

    It is the all-MLP decoder of SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203) without the level at
    stride 4, and with a sum in place of the concatenation and its convolution: both are linear. With `layers`
    the coarsest level goes through a small transformer first, whose tokens know their place by the encoder's
    features alone, so that any size of image will do.

    Args:
        encoder_channels: Channels of each feature of the pyramid.
        width: Channels of the map.
        layers: Layers of the transformer; 0 for none.

    Raises:
        UsageError: If a number is out of its range, or the pyramid ends before stride 8.
    """

    def __init__(self, encoder_channels: Sequence[int], width: int = 64, layers: int = 0) -> None:
        super().__init__()
        if width < 1 or layers < 0 or (layers and width % HEAD_WIDTH):
            raise UsageError(
                f"expected a width above 0, with a transformer a multiple of {HEAD_WIDTH}, and 0 layers or "
                f"more, found {width} and {layers}",
                "model.backbone.options",
            )
        read = encoder_channels[FINEST:]
        if not read:
            raise UsageError("expected a pyramid that goes to stride 8 or beyond", "model.backbone.encoder")
        self.out_channels = width
        self.projections = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in read)
        self.transformer = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, width // HEAD_WIDTH, 4 * width, 0.0, batch_first=True)
                for _ in range(layers)
            )
        )
        self.norm = nn.BatchNorm2d(width)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map (B, width, h, w) at stride 8."""
        maps = [layer(level) for layer, level in zip(self.projections, features[FINEST:], strict=True)]
        if len(self.transformer):
            tokens = self.transformer(maps[-1].flatten(2).transpose(1, 2))
            maps[-1] = tokens.transpose(1, 2).reshape(maps[-1].shape)
        size = maps[0].shape[2:]
        enlarged = [F.interpolate(coarse, size, mode="bilinear") for coarse in maps[1:]]
        return F.relu(self.norm(torch.stack([maps[0], *enlarged]).sum(0)))
