"""The head of a classifier: the classes that an image shows, from the encoder alone."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from fusionseg.heads.scene import SceneHead


class ClassifierHead(SceneHead):
    """A `SceneHead` that reads the encoder's deepest map, without a decoder: the classic image classifier.

    The map is averaged over its pixels, then come a hidden layer, if one is wanted, and a linear one. Encoder
    and head are then a network of `timm` or torchvision, such as a ResNet.

    Args:
        in_channels: Channels of each map of the pyramid.
        num_classes: Number of classes C.
        single: As in `SceneHead`; where left out, as the data of a `ClassificationModule` say, else false.
        hidden: Width of a hidden layer with ReLU; 0 for none.
        dropout: Share of the values before the last layer that are zeroed in training.
        label_smoothing: As in `SceneHead`.

    Raises:
        ValueError: As of `SceneHead`, or if `hidden` is negative.
    """

    reads_pyramid: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        single: bool | None = None,
        hidden: int = 0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        if hidden < 0:
            raise ValueError(f"expected a hidden layer of 0 or more values, found {hidden}")
        width = hidden or in_channels[-1]
        super().__init__(width, num_classes, bool(single), dropout=dropout, label_smoothing=label_smoothing)
        if hidden:
            self.layers = nn.Sequential(nn.Linear(in_channels[-1], hidden), nn.ReLU(), *self.layers)

    def forward(self, features: Any) -> Tensor:
        """The logits (B, C) from maps (B, in_channels[i], h_i, w_i), fine to coarse."""
        return super().forward(features[-1])
