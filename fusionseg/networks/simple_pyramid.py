"""The simple feature pyramid of ViTDet, for encoders whose maps have one size."""

from collections.abc import Sequence

from torch import Tensor, nn


class SimplePyramid(nn.Module):
    """Makes a pyramid of the last map of a plain transformer.

    After Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection" (ECCV 2022,
    arXiv:2203.16527, section 3): each level is made of the same map, finer ones by transposed convolutions of
    2 x 2 pixels and stride 2, each with half the channels and with layer normalization and GELU between two
    of them, coarser ones by max pooling; then come a 1 x 1 and a 3 x 3 convolution, each with layer
    normalization.

    Args:
        channels: Channels of the map.
        stride: Its stride, a power of two.
        strides: The strides of the levels, powers of two.
        width: Channels of the levels.
    """

    def __init__(self, channels: int, stride: int, strides: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_level(channels, stride, each, width) for each in strides)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The image, an empty level at stride 2, and the maps (B, width, h, w) of the levels.

        Args:
            features: The image (B, C, H, W) and the map (B, channels, H / stride, W / stride).
        """
        image, last = features
        number, _, height, width = image.shape
        empty = last.new_empty(number, 0, height // 2, width // 2)
        return [image, empty, *(level(last) for level in self.levels)]


def _level(channels: int, stride: int, wanted: int, width: int) -> nn.Sequential:
    """The layers from a map to the level of the wanted stride."""
    from timm.layers.norm import LayerNorm2d  # timm takes long to import

    layers: list[nn.Module] = []
    while stride > wanted:
        if layers:
            layers += [LayerNorm2d(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, 2))
        channels //= 2
        stride //= 2
    if stride < wanted:
        layers.append(nn.MaxPool2d(wanted // stride))
    return nn.Sequential(
        *layers,
        nn.Conv2d(channels, width, 1, bias=False),
        LayerNorm2d(width),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        LayerNorm2d(width),
    )
