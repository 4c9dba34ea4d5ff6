"""Regions from predicted centers and offsets to them."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from fusionseg.heads.base import resized
from fusionseg.heads.dense import Dense, logits_of_mean
from fusionseg.heads.distilled import sigmoid_divergence, smooth_distance, terms
from fusionseg.heads.ranges import Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_decoding import check_grouping, group
from fusionseg.heads.region_targets import center_heatmap, center_offsets, centroids
from fusionseg.losses import AbsoluteError, Loss, MeanSquaredError
from fusionseg.losses.enlarging import scaled
from fusionseg.sample import OFFSET, Classes, Frame, Picture, Sample
from fusionseg.visualize import offset_colors, whitened


class CenterTarget(NamedTuple):
    """The target of `CenterOffsetHead`.

    Args:
        heat: Heatmap of region centers (B, 1, H, W) in [0, 1].
        offset: From every pixel to its region's center (B, 2, H, W): down, then right, in pixels.
        mask: Labelled pixels (B, H, W) bool.
    """

    heat: Tensor
    offset: Tensor
    mask: Tensor


class CenterOffsetHead(Dense, RegionHead):
    """Predicts region centers and every pixel's offset to its center (Panoptic-DeepLab, arXiv:1911.10194).

    The output (B, 3, h, w) has three channels: the logit of being a center, then the vertical and the
    horizontal offset to it in units of 32 pixels of the network's input, so that they are of the order of
    one. Unlike in the paper, stuff regions take part too.

    Args:
        in_channels: Channels of the features.
        center_loss: Recipe of the loss of the heatmap.
        offset_loss: Recipe of the loss of the offsets in pixels.
        center_weight: Factor of the heatmap's loss.
        offset_weight: Factor of the offsets' loss.
        sigma: Standard deviation of a center in the target's heatmap, in pixels of the network's input.
        threshold: Centers with less heat are ignored when regions are decoded.
        kernel: A center is the pixel of most heat in a window of this odd size, in pixels of the label file.
        max_centers: At most this many centers are kept, those of most heat (200 in the paper), with a
            warning; by default all that can be numbered in 16 bits.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `threshold` is not in (0, 1), `sigma` not positive, `kernel` not odd and positive or
            `max_centers` not in 1..65535.
    """

    output_options: ClassVar[tuple[str, ...]] = ("sigma",)
    UNIT: ClassVar[float] = 32.0

    def __init__(
        self,
        in_channels: int,
        center_loss: Callable[[], Loss] = MeanSquaredError,
        offset_loss: Callable[[], Loss] = AbsoluteError,
        center_weight: float = 200.0,
        offset_weight: float = 0.01,
        sigma: float = 8.0,
        threshold: float = 0.1,
        kernel: int = 7,
        max_centers: int = OFFSET - 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sigma = sigma
        self.threshold = threshold
        self.kernel = kernel
        self.max_centers = max_centers
        self.check_decoding()
        self.center_weight = center_weight
        self.offset_weight = offset_weight
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 3, 1))
        self.center_loss = center_loss()
        self.offset_loss = offset_loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The threshold and the size of a window that has one center."""
        return {"threshold": Range(0.01, 0.9, log=True), "kernel": Range(3, 63, step=2)}

    def check_decoding(self) -> None:
        """Raises a ValueError as the constructor does."""
        if not 0 < self.threshold < 1 or self.sigma <= 0:
            raise ValueError(
                "expected a threshold in (0, 1) and a positive sigma, found "
                f"{self.threshold} and {self.sigma}"
            )
        check_grouping(self.kernel, self.max_centers)

    def forward(self, features: Tensor) -> Tensor:
        """The output (B, 3, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> CenterTarget:
        """Heatmap, offsets and mask from the region map (B, H, W)."""
        region = batch["region"]
        centers, counts = centroids(region)
        heat = center_heatmap(region.shape[1:], centers, counts, self.sigma)
        return CenterTarget(heat, center_offsets(region, centers), region > 0)

    def loss(self, output: Tensor, target: CenterTarget) -> tuple[Tensor, Tensor]:
        """The sums and weights (2,) of the heatmap's and the offsets' loss, from an output (B, 3, h, w)."""
        output = scaled(output, target.mask.shape[-2:])
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        heat = output[:, :1].sigmoid()
        offset = output[:, 1:] * self.UNIT
        heat_sum, heat_weight = self.center_loss(heat, target.heat, target.mask)
        offset_sum, offset_weight = self.offset_loss(offset, target.offset, target.mask)
        sums = torch.stack([heat_sum * self.center_weight, offset_sum * self.offset_weight])
        weights = torch.stack([heat_weight, offset_weight])
        return sums, weights

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from an output (B, 3, h, w).

        Every pixel joins the center that is nearest to where its offset points.
        """
        output = resized(output, frame)
        enlargement = [size / valid for size, valid in zip(frame.size, frame.valid, strict=True)]
        heat = output[:, :1].sigmoid()
        offset = output[:, 1:] * self.UNIT * output.new_tensor(enlargement).view(2, 1, 1)
        regions = [
            group(h, o, self.threshold, self.kernel, self.max_centers)
            for h, o in zip(heat, offset, strict=True)
        ]
        return torch.stack(regions)

    def ideal(self, target: CenterTarget) -> Tensor:
        """The output (B, 3, H, W) whose heat and offsets are the target's."""
        return torch.cat([target.heat.clamp(1e-6, 1 - 1e-6).logit(), target.offset / self.UNIT], 1)

    def mirrored(self, output: Tensor, width: int) -> Tensor:
        """The output (B, 3, h, w) with its horizontal offsets turned around."""
        return output * output.new_tensor([1, 1, -1]).view(3, 1, 1)

    def rescaled(self, output: Tensor, factor: float) -> Tensor:
        """The output (B, 3, h, w) with offsets in the image's pixels."""
        return output / output.new_tensor([1, factor, factor]).view(3, 1, 1)

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The output (B, 3, h, w) of the mean heat and the mean offsets."""
        heat = logits_of_mean([output[:, :1] for output in outputs])
        return torch.cat([heat, super().averaged([output[:, 1:] for output in outputs])], 1)

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sums and weights (2,) of the distances of heat and of offsets, from outputs (B, 3, h, w)."""
        heat = sigmoid_divergence(output[:, :1], taught[:, :1], temperature)
        return terms([heat, smooth_distance(output[:, 1:], taught[:, 1:])])

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """Offsets to the center: the hue is their direction, brighter ones are longer; centers are white."""
        heat, offset, mask = (planes[0].cpu().numpy() for planes in self.target(batch))
        return whitened(offset_colors(offset, mask), heat[0] * mask)
