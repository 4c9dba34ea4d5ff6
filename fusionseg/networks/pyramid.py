"""What takes a decoder's place for heads that read the encoder's feature pyramid."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from fusionseg.config.errors import UsageError
from fusionseg.config.recipe import made

FINEST = 2
"""The finest level that such heads read, at stride 4: encoders differ most in the two before it."""


class Pyramid(nn.Module):
    """Hands over an encoder's features from stride 4 on, in place of a decoder.

    Args:
        encoder_channels: Channels of each feature of the encoder, at strides 1, 2, 4 ...
    """

    def __init__(self, encoder_channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = list(encoder_channels[FINEST:])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The maps (B, out_channels[i], h_i, w_i), fine to coarse."""
        return list(features[FINEST:])


def readers(heads: Mapping[str, Any]) -> list[str]:
    """The tasks whose recipe is of a head that reads the pyramid."""
    return [task for task, recipe in heads.items() if getattr(made(recipe), "reads_pyramid", False)]


def refuse_readers(heads: Mapping[str, Any], network: str, reason: str) -> None:
    """Raises a `UsageError` if a head reads the pyramid, for networks that cannot give it one."""
    for task in readers(heads):
        raise UsageError(
            f"{made(heads[task]).__name__} reads the encoder's pyramid, but {network} {reason}: "
            "choose HardSharing, MTAN or CrossStitch",
            "model.network",
        )
