"""Which class is this pixel."""

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import Head, resized, scaled
from fusionseg.losses import CrossEntropy, Loss
from fusionseg.sample import VOID, Frame, Sample


class SemanticHead(Head):
    """A class for every pixel; the output is the logits (B, num_classes, h, w), or (B, 1, h, w) in the binary form.

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes.
        losses: Recipes of the losses, which are added.
        dropout: Share of the feature channels that are zeroed in training.
        binary: For two classes: one logit, whose sigmoid is the probability of class 1.
        threshold: In the binary form, class 1 is at least this likely.
    """

    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        losses: list[Callable[[], Loss]] = [CrossEntropy],  # noqa: B006 (a list that nobody changes)
        dropout: float = 0.0,
        binary: bool = False,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        if binary and num_classes != 2:
            raise ValueError(f"the binary form is for 2 classes, found {num_classes}: leave binary out")
        if not losses:
            raise ValueError("a semantic head needs at least one loss, found an empty list")
        if not 0 < threshold < 1:
            raise ValueError(f"expected a threshold in (0, 1), found {threshold}")
        self.num_classes, self.binary, self.threshold = num_classes, binary, threshold
        self.layers = nn.Sequential(
            nn.Dropout2d(dropout), nn.Conv2d(in_channels, 1 if binary else num_classes, 1)
        )
        self.losses = nn.ModuleList(loss() for loss in losses)

    def forward(self, features: Tensor) -> Tensor:
        """The logits at the resolution of the features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        """The semantic map (B, H, W) itself."""
        return batch["semantic"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """A term for each loss, over the pixels that are not void."""
        logits, mask = scaled(output, target.shape[-2:]), target != VOID
        sums, weights = zip(*(loss(logits, target, mask) for loss in self.losses), strict=True)
        return torch.stack(sums), torch.stack(weights)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The most likely class of every pixel."""
        logits = resized(output, frame)
        return (logits[:, 0].sigmoid() >= self.threshold).long() if self.binary else logits.max(1).indices

    def ideal(self, target: Tensor) -> Tensor:
        """Logits of +-20, and 0 on void."""
        known = (target != VOID)[:, None]
        if self.binary:
            return torch.where(known, 40.0 * (target == 1)[:, None] - 20.0, 0.0)
        hot = F.one_hot(torch.where(known[:, 0], target, 0), self.num_classes).permute(0, 3, 1, 2)
        return torch.where(known, 40.0 * hot - 20.0, 0.0)
