"""The depth of every pixel in meters."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import Head, resized
from fusionseg.heads.dense import Dense
from fusionseg.losses import AbsoluteError, Loss
from fusionseg.losses.enlarging import scaled
from fusionseg.metrics import DepthMetrics, ImageMetric
from fusionseg.sample import Array, Classes, Frame, Picture, Sample
from fusionseg.visualize import heat_colors


class DepthHead(Dense, Head):
    """Predicts the depth of every pixel in meters.

    The output x is one number per pixel (B, 1, h, w), and the depth is scale * softplus(x). It is positive,
    as inverse and logarithmic errors need; unlike exp(x), it grows linearly where it is large, so that
    errors in meters have bounded gradients and bilinear resizing of x interpolates the depth.

    Args:
        in_channels: Channels of the features.
        losses: Recipes of the losses, which are added; they compare depths (B, 1, H, W) in meters.
        scale: Depth in meters per unit of softplus. It should be of the order of the data's depths, such as
            1 indoors and 10 on roads: an untrained network predicts about 0.7 * scale.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `losses` is empty or `scale` not positive.
    """

    task: ClassVar[str] = "depth"
    learns_from: ClassVar[str] = "depth"

    def __init__(
        self,
        in_channels: int,
        losses: list[Callable[[], Loss]] = [AbsoluteError],  # noqa: B006 (never changed)
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not losses:
            raise ValueError("a depth head needs at least one loss, found an empty list")
        if scale <= 0:
            raise ValueError(f"expected a positive scale in meters, found {scale}")
        self.scale = scale
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 1, 1))
        self.losses = nn.ModuleList(loss() for loss in losses)

    def forward(self, features: Tensor) -> Tensor:
        """The output (B, 1, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        """The depth map (B, H, W) float32 in meters itself, 0 where invalid."""
        return batch["depth"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The sums and weights (K,) of the K losses over the pixels with a valid depth.

        Args:
            output: Output (B, 1, h, w).
            target: Depth (B, H, W) in meters, 0 where invalid.
        """
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        depth = self._depth(scaled(output, target.shape[-2:]))
        mask = target > 0
        sums, weights = zip(*(loss(depth, target.unsqueeze(1), mask) for loss in self.losses), strict=True)
        return torch.stack(sums), torch.stack(weights)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The depth of every pixel (B, H, W) float32 in meters, from an output (B, 1, h, w)."""
        depth = self._depth(resized(output, frame)).squeeze(1)
        # softplus underflows to 0, which would mean an invalid depth
        return depth.clamp_min(1e-6 * self.scale)

    def ideal(self, target: Tensor) -> Tensor:
        """The output (B, 1, H, W) whose depth is the target's, and 0 where that is invalid.

        Exact to float32 rounding between 1e-6 and 1e6 times `scale`.
        """
        valid = target > 0
        units = target.where(valid, self.scale) / self.scale
        # log(exp(u) - 1), written so that exp cannot overflow
        inverse = units + torch.log(-torch.expm1(-units))
        return inverse.where(valid, 0).unsqueeze(1)

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The output (B, 1, h, w) of the mean depth."""
        return self.ideal(torch.stack([self._depth(output) for output in outputs]).mean(0).squeeze(1))

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Absolute and relative error, RMSE and the shares within 1.25^n."""
        return [DepthMetrics()]

    def draw(self, labels: Array, classes: Classes) -> Picture:
        """Depth (H, W) from near (yellow) to far (violet) over its own range, black where invalid."""
        valid = np.isfinite(labels) & (labels > 0)
        if not valid.any():
            return np.zeros((*labels.shape, 3), np.uint8)
        near = labels[valid].min()
        far = labels[valid].max()
        nearness = (far - np.where(valid, labels, far)) / max(far - near, np.finfo(np.float32).tiny)
        return heat_colors(nearness, valid)

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The depth from near (yellow) to far (violet), black where invalid."""
        return self.draw(self.target(batch)[0].cpu().numpy(), classes)

    def _depth(self, output: Tensor) -> Tensor:
        """The depth in meters of an output of the same shape."""
        return self.scale * F.softplus(output)
