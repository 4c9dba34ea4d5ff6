"""Regions from predicted distances to their outlines."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import resized
from fusionseg.heads.dense import Dense
from fusionseg.heads.ranges import MIN_AREA, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_decoding import flooded
from fusionseg.heads.region_targets import lower, lower_by_squares
from fusionseg.losses import AbsoluteError, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.sample import Classes, Frame, Picture, Sample
from fusionseg.visualize import heat_colors

_LOWEST = 1.2
"""The lowest level, in pixels.

The distance is 1 on both sides of a boundary and at least 2^0.5 elsewhere. Of two diagonal neighbors in
different regions, one is on a boundary, so that parts above this level may be 8-connected.
"""


class DistanceHead(Dense, RegionHead):
    """Predicts how far every pixel is from the outline of its region; a watershed turns it into regions.

    This is the energy of the deep watershed transform (Bai and Urtasun, CVPR 2017, arXiv:1611.08303): the
    distance transform D_gt of eq. 1, here regressed as a share of `reach` (B, 1, h, w) instead of classified
    into levels. The outline is where the nearest pixel of another region or of void is, so that no region
    leads through void; the rim of the image is none.

    The paper cuts the energy at one level, which loses thin regions. Here the level falls from `seed` to 1.2
    pixels: connected pixels above it become a region, or are divided among the regions that they have.

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss of the distance as a share of `reach`.
        reach: Larger distances are truncated to this, in pixels of the network's input, in 2..128.
        seed: Parts of a region stay together if a path joins them that keeps so far from the outline, in
            pixels of the network's input, in [1.2, reach). A smaller one keeps narrower necks whole, a
            larger one (well below `reach`) separates regions in spite of gaps in their boundary.
        min_area: Fewer connected pixels, in pixels of the label file, do not become a region.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `reach` is not in 2..128 or `seed` not in [1.2, reach).
    """

    output_options: ClassVar[tuple[str, ...]] = ("reach",)

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = AbsoluteError,
        reach: int = 16,
        seed: float = 4.0,
        min_area: int = 20,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 2 <= reach <= 128:
            raise ValueError(f"expected reach in 2..128, found {reach}")
        self.reach = reach
        self.seed = seed
        self.min_area = min_area
        self.check_decoding()
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 1, 1))
        self.criterion = loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The seed, below the reach, and the smallest area."""
        return {"seed": Range(_LOWEST, 0.9 * self.reach, log=True), "min_area": MIN_AREA}

    def check_decoding(self) -> None:
        """Raises a ValueError unless the seed is in [1.2, reach)."""
        if not _LOWEST <= self.seed < self.reach:
            raise ValueError(f"expected seed in [{_LOWEST}, {self.reach}), found {self.seed}")

    def forward(self, features: Tensor) -> Tensor:
        """The distances as shares of `reach` (B, 1, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """The distances as shares of `reach` (B, 1, H, W) and the labelled pixels (B, H, W) bool."""
        region = batch["region"]
        height, width = batch.get("valid", region.shape[1:])
        # what the image was extended by is no outline either
        inside = distances(region[:, :height, :width], self.reach)
        shares = F.pad(inside, (0, region.shape[2] - width, 0, region.shape[1] - height)) / self.reach
        return shares.unsqueeze(1), region > 0

    def loss(self, output: Tensor, target: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the loss over the labelled pixels, from an output (B, 1, h, w)."""
        return sums_and_weights([self.criterion], output, *target)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from an output (B, 1, h, w), computed on the CPU."""
        energy = resized(output.detach(), frame)[:, 0].cpu().numpy()
        levels = np.linspace(self.seed, _LOWEST, num=5) / self.reach
        maps = np.stack([flooded(image, levels, self.min_area) for image in energy])
        return torch.from_numpy(maps.astype(np.int64)).to(output.device)

    def ideal(self, target: tuple[Tensor, Tensor]) -> Tensor:
        """The target's distances (B, 1, H, W)."""
        return target[0]

    def rescaled(self, output: Tensor, factor: float) -> Tensor:
        """The distances (B, 1, h, w) in the image's pixels; those beyond `reach` in the copy stay so."""
        return torch.where(output < 1, output / factor, output).clamp_max(1)

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The distance to the outline, from 0 (violet) to `reach` (yellow)."""
        shares, mask = (plane[0].cpu().numpy() for plane in self.target(batch))
        return heat_colors(shares[0], mask)


def distances(region: Tensor, reach: int) -> Tensor:
    """The exact distance from every pixel to the nearest one outside of its region, float32 (B, H, W).

    It is in pixels, at most `reach`, and 0 where unlabelled. Its square is that of the column's own distance,
    or the least n^2 + d^2 of a pixel n rows away with the distance d along its row. Such pixels of other
    regions need not be left out: the column's own distance is at most n.
    """
    squares = _along(region, 2, reach).square_()
    lower_by_squares(squares, 1, reach - 1)
    squares = torch.minimum(squares, _along(region, 1, reach).square_())
    return squares.float().sqrt_().where(region > 0, 0)


def _along(region: Tensor, axis: int, reach: int) -> Tensor:
    """The distance along one axis to the nearest pixel outside of the region, int16 (B, H, W)."""
    size = region.shape[axis] - 1
    differs = region.narrow(axis, 0, size) != region.narrow(axis, 1, size)
    distance = torch.full_like(region, reach, dtype=torch.int16)
    for side in (0, 1):
        distance.narrow(axis, side, size).masked_fill_(differs, 1)
    for power in range((reach - 1).bit_length()):
        lower(distance, axis, 2**power, 2**power)
    return distance
