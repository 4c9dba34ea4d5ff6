"""Regions from predicted boundaries."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import resized
from fusionseg.heads.dense import DenseLogits
from fusionseg.heads.ranges import MIN_AREA, PROBABILITY, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_decoding import watershed
from fusionseg.heads.region_targets import boundaries
from fusionseg.losses import BalancedBCE, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.sample import Classes, Frame, Picture, Sample
from fusionseg.visualize import SLATE, WHITE, kind_colors


class BoundaryHead(DenseLogits, RegionHead):
    """Predicts boundaries between regions; a watershed turns them into regions.

    The output is one logit per pixel (B, 1, h, w), whose sigmoid is the probability of a boundary. Target
    and loss follow HED (arXiv:1504.06375). Basins are connected pixels without a likely boundary; all other
    pixels join the nearest one.

    Where a data set has labels of `boundary`, the share of annotators who see one, these are learned instead:
    pixels of a larger share than `consensus` are boundaries, those of none are not, and all others do not
    count (Liu et al., RCF, arXiv:1612.02103, section 3.2).

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss.
        width: Width of a boundary in the target, in pixels of the network's input.
        threshold: Pixels with a smaller probability of a boundary belong to basins.
        min_area: Smaller basins, in pixels of the label file, are merged into their neighbors.
        dropout: Share of the feature channels that are zeroed in training.
        consensus: The share of annotators from which on a boundary is one; 0.3 as in PiDiNet.

    Raises:
        ValueError: If `width` is not a positive even number, `threshold` not in (0, 1) or `consensus` not in
            [0, 1).
    """

    output_options: ClassVar[tuple[str, ...]] = ("width",)

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = BalancedBCE,
        width: int = 2,
        threshold: float = 0.5,
        min_area: int = 20,
        dropout: float = 0.0,
        consensus: float = 0.3,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(
                f"a boundary has two sides of equal thickness: expected width 2, 4, 6 ..., found {width}"
            )
        if not 0 <= consensus < 1:
            raise ValueError(f"expected a consensus in [0, 1), found {consensus}")
        self.width = width
        self.consensus = consensus
        self.threshold = threshold
        self.min_area = min_area
        self.check_decoding()
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 1, 1))
        self.criterion = loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The threshold and the smallest area."""
        return {"threshold": PROBABILITY, "min_area": MIN_AREA}

    def check_decoding(self) -> None:
        """Raises a ValueError unless the threshold is in (0, 1)."""
        if not 0 < self.threshold < 1:
            raise ValueError(f"expected a threshold in (0, 1), found {self.threshold}")

    def forward(self, features: Tensor) -> Tensor:
        """The logits (B, 1, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """The boundary pixels and the labelled pixels, both (B, H, W) bool."""
        region = batch["region"]
        boundary, labelled = boundaries(region, self.width), region > 0
        if "boundary" not in batch:
            return boundary, labelled
        shares = batch["boundary"]
        # images of a mixture's other parts are 0 everywhere
        averaged = (shares != 0).flatten(1).any(1)[:, None, None]
        side = self.width - 1
        widened = F.max_pool2d(shares.where(shares > 0, -1).unsqueeze(1), side, 1, side // 2).squeeze(1)
        agreed = widened > self.consensus
        known = agreed | (widened < 0)
        return torch.where(averaged, agreed, boundary), labelled & (known | ~averaged)

    def loss(self, output: Tensor, target: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the loss over the labelled pixels.

        Args:
            output: Logits (B, 1, h, w).
            target: Boundary pixels and labelled pixels, both (B, H, W) bool.
        """
        boundary, mask = target
        return sums_and_weights([self.criterion], output, boundary.long(), mask)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from logits (B, 1, h, w); the watershed runs on the CPU."""
        probabilities = self._logits(output.detach(), frame).sigmoid().cpu().numpy()
        maps = np.stack([watershed(image, self.threshold, self.min_area) for image in probabilities])
        return torch.from_numpy(maps.astype(np.int64)).to(output.device)

    def contour_logits(self, output: Tensor, frame: Frame) -> Tensor:
        """The logit of a boundary, float32 (B, H, W), from logits (B, 1, h, w), over the temperature."""
        return self._logits(output, frame) / self.temperature

    def ideal(self, target: tuple[Tensor, Tensor]) -> Tensor:
        """Logits (B, 1, H, W) of +-20.

        Unlabelled pixels count as boundaries, so that no basin connects two regions through them.
        """
        boundary, mask = target
        return 40.0 * (boundary | ~mask)[:, None].float() - 20.0

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """Boundaries in white, as wide as they are learned."""
        boundary, mask = (plane[0].cpu().numpy() for plane in self.target(batch))
        return kind_colors(boundary, (SLATE, WHITE), mask)

    def _logits(self, output: Tensor, frame: Frame) -> Tensor:
        """The logits (B, H, W) at the size of the label file."""
        return resized(output, frame)[:, 0]
