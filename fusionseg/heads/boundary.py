"""Regions as what boundaries enclose."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fusionseg.heads.base import Head, resized, scaled
from fusionseg.heads.region_decoding import watershed
from fusionseg.heads.region_targets import boundaries
from fusionseg.losses import BalancedBCE, Loss
from fusionseg.sample import Frame, Sample


class BoundaryHead(Head):
    """Regions as basins: every pixel says how likely it is a boundary, and a watershed floods what is not.

    The output is one logit a pixel (B, 1, h, w). Target and loss follow HED (arXiv:1504.06375); the watershed gives
    every pixel outside of the basins to the nearest one.

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss.
        width: Width of a boundary in the target, in pixels of the network's input.
        threshold: Basins start where a boundary is less likely than this.
        min_area: Smaller basins, in pixels of the label file, are flooded by their neighbors.
        dropout: Share of the feature channels that are zeroed in training.
    """

    task: ClassVar[str] = "region"

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = BalancedBCE,
        width: int = 2,
        threshold: float = 0.5,
        min_area: int = 20,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(
                f"a boundary has two sides of equal thickness: expected width 2, 4, 6 ..., found {width}"
            )
        if not 0 < threshold < 1:
            raise ValueError(f"expected a threshold in (0, 1), found {threshold}")
        self.width, self.threshold, self.min_area = width, threshold, min_area
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 1, 1))
        self.criterion = loss()

    def forward(self, features: Tensor) -> Tensor:
        """The logits at the resolution of the features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """What is a boundary and what is labelled, both (B, H, W) bool."""
        return boundaries(batch["region"], self.width), batch["region"] > 0

    def loss(self, output: Tensor, target: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """One term, over the pixels that belong to a region."""
        boundary, mask = target
        total, weight = self.criterion(scaled(output, mask.shape[-2:]), boundary.float(), mask)
        return total[None], weight[None]

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The basins of the watershed, numbered from 1; computed on the host."""
        likely = resized(output.detach(), frame)[:, 0].sigmoid().cpu().numpy()
        maps = np.stack([watershed(p, self.threshold, self.min_area) for p in likely])
        return torch.from_numpy(maps.astype(np.int64)).to(output.device)

    def ideal(self, target: tuple[Tensor, Tensor]) -> Tensor:
        """Logits of +-20; void is a boundary, so that no basin leads from region to region through it."""
        boundary, mask = target
        return 40.0 * (boundary | ~mask)[:, None].float() - 20.0
