"""Encoders whose pyramid a neck makes, which learns even where the rest of the encoder is frozen."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Necked(nn.Module, ABC):
    """An encoder of a trunk, whose weights may be pretrained, and a neck, which starts at random.

    Args:
        trunk: Computes features of images.
        neck: Computes the pyramid of the features.
    """

    def __init__(self, trunk: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck

    @abstractmethod
    def features(self, image: Tensor) -> list[Tensor]:
        """What the trunk computes of images (B, C, H, W), and the neck reads."""

    @abstractmethod
    def levels(self) -> list[list[nn.Parameter]]:
        """The parameters of the trunk by depth, from the stem on, for learning rates that fall with it."""

    def forward(self, image: Tensor) -> list[Tensor]:
        """The pyramid of images (B, C, H, W): the image, and the map of each further level."""
        return self.neck(self.features(image))  # type: ignore[no-any-return]
