"""The contract of a head."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.sample import Frame, Sample


class Head(nn.Module, ABC):
    """A codec of one task: it owns its target, its loss and its decoding, and nobody else looks into its output."""

    task: ClassVar[str]
    """`semantic` or `region`, the sample's key that it answers, or `scene`, what the whole image shows."""

    @abstractmethod
    def forward(self, features: Tensor) -> Any:
        """The output from features (B, in_channels, h, w)."""

    @abstractmethod
    def target(self, batch: Sample) -> Any:
        """What the output should be, from the batch's label maps: on the device, without synchronizing."""

    @abstractmethod
    def loss(self, output: Any, target: Any) -> tuple[Tensor, Tensor]:
        """Sums and weights of the loss's terms, two tensors (K,), unnormalized.

        The task's loss is the sum over k of sum_k / weight_k. Only the module divides, by the weight over the global
        batch.
        """

    @abstractmethod
    def labels(self, output: Any, frame: Frame) -> Tensor:
        """The label map (B, H, W) int64 at `frame.size`.

        A scene has no size: its soft labels are the probability of each class to be present, (B, C) float32.
        """

    @abstractmethod
    def ideal(self, target: Any) -> Any:
        """The output that a perfect network would give."""


def resized(output: Tensor, frame: Frame) -> Tensor:
    """A dense output (B, K, h, w) at `frame.size`, its padding cut off, bilinear and in fp32."""
    output = scaled(output.float(), frame.padded)[..., : frame.valid[0], : frame.valid[1]]
    return scaled(output, frame.size)


def scaled(output: Tensor, size: Sequence[int]) -> Tensor:
    """A dense output at another size, bilinear."""
    if tuple(output.shape[-2:]) == tuple(size):
        return output
    return F.interpolate(output, tuple(size), mode="bilinear", align_corners=False)
