"""The base class of heads that predict a positive number at every pixel: depth and disparity."""

from abc import abstractmethod
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
from fusionseg.metrics import ImageMetric
from fusionseg.sample import Array, Classes, Frame, Picture, Sample
from fusionseg.visualize import heat_colors


class PositiveHead(Dense, Head):
    """Predicts a positive number at every pixel, in the unit of the label map that it learns from.

    The output x is one number per pixel (B, 1, h, w), and the prediction is scale * softplus(x). It is
    positive, as inverse and logarithmic errors need; unlike exp(x), it grows linearly where it is large, so
    that errors have bounded gradients and bilinear resizing of x interpolates the prediction.

    Args:
        in_channels: Channels of the features.
        losses: Recipes of the losses, which are added; they compare maps (B, 1, H, W) in the labels' unit.
        scale: The prediction per unit of softplus. It should be of the order of the labels, such as 1 for
            meters indoors and 10 for meters on roads: an untrained network predicts about 0.7 * scale.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `losses` is empty or `scale` not positive.
    """

    output_options: ClassVar[tuple[str, ...]] = ("scale",)
    large_is_near: ClassVar[bool] = False
    """Whether large numbers are near and not far, for `draw`."""

    def __init__(
        self,
        in_channels: int,
        losses: list[Callable[[], Loss]] = [AbsoluteError],  # noqa: B006 (never changed)
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not losses:
            raise ValueError(f"a {self.task} head needs at least one loss, found an empty list")
        if scale <= 0:
            raise ValueError(f"expected a positive scale, found {scale}")
        self.scale = scale
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 1, 1))
        self.losses = nn.ModuleList(loss() for loss in losses)

    def forward(self, features: Tensor) -> Tensor:
        """The output (B, 1, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        """The label map (B, H, W) float32 itself, 0 where invalid."""
        return batch[self.learns_from]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The sums and weights (K,) of the K losses over the pixels with a valid label.

        Args:
            output: Output (B, 1, h, w).
            target: Labels (B, H, W), 0 where invalid.
        """
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        values = self._values(scaled(output, target.shape[-2:]))
        mask = target > 0
        sums, weights = zip(*(loss(values, target.unsqueeze(1), mask) for loss in self.losses), strict=True)
        return torch.stack(sums), torch.stack(weights)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The prediction at every pixel (B, H, W) float32, from an output (B, 1, h, w)."""
        values = self._values(resized(output, frame)).squeeze(1)
        # softplus underflows to 0, which would mean an invalid label
        return values.clamp_min(1e-6 * self.scale)

    def ideal(self, target: Tensor) -> Tensor:
        """The output (B, 1, H, W) whose prediction is the target, and 0 where that is invalid.

        Exact to float32 rounding between 1e-6 and 1e6 times `scale`.
        """
        valid = target > 0
        units = target.where(valid, self.scale) / self.scale
        # log(exp(u) - 1), written so that exp cannot overflow
        inverse = units + torch.log(-torch.expm1(-units))
        return inverse.where(valid, 0).unsqueeze(1)

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The output (B, 1, h, w) of the mean prediction."""
        return self.ideal(torch.stack([self._values(output) for output in outputs]).mean(0).squeeze(1))

    @abstractmethod
    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """The metrics of the predicted numbers."""

    def draw(self, labels: Array, classes: Classes) -> Picture:
        """Numbers (H, W) from near (yellow) to far (violet) over their own range, black where invalid."""
        valid = np.isfinite(labels) & (labels > 0)
        if not valid.any():
            return np.zeros((*labels.shape, 3), np.uint8)
        ends = labels[valid].min(), labels[valid].max()
        near, far = ends[::-1] if self.large_is_near else ends
        spread = max(abs(far - near), np.finfo(np.float32).tiny)
        return heat_colors(abs(far - np.where(valid, labels, far)) / spread, valid)

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The labels from near (yellow) to far (violet), black where invalid."""
        return self.draw(self.target(batch)[0].cpu().numpy(), classes)

    def _values(self, output: Tensor) -> Tensor:
        """The prediction of an output of the same shape."""
        return self.scale * F.softplus(output)
