"""The orientation of the surface at every pixel."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionseg.heads.base import Head, resized
from fusionseg.heads.dense import Dense
from fusionseg.heads.distilled import angular_distance, terms
from fusionseg.losses import CosineError, Loss
from fusionseg.losses.enlarging import scaled
from fusionseg.metrics import ImageMetric, NormalsMetrics
from fusionseg.sample import Array, Classes, Frame, Picture, Sample

_SHORT = 1e-4
"""Vectors shorter than this are divided by it instead of by their length, which bounds the gradient."""


class NormalsHead(Dense, Head):
    """Predicts the surface normal at every pixel: x right, y down, z away from the camera.

    The output is a vector of any length but zero (B, 3, h, w), and the normal is its direction. Vectors are
    resized first and then normalized, in the loss as in the labels.

    Args:
        in_channels: Channels of the features.
        losses: Recipes of the losses, which are added; they compare unit vectors (B, 3, H, W).
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `losses` is empty.
    """

    task: ClassVar[str] = "normals"
    learns_from: ClassVar[str] = "normals"

    def __init__(
        self,
        in_channels: int,
        losses: list[Callable[[], Loss]] = [CosineError],  # noqa: B006 (never changed)
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not losses:
            raise ValueError("a normals head needs at least one loss, found an empty list")
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 3, 1))
        self.losses = nn.ModuleList(loss() for loss in losses)

    def forward(self, features: Tensor) -> Tensor:
        """The vectors (B, 3, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        """The normals (B, 3, H, W) float32 themselves, the zero vector where invalid."""
        return batch["normals"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The sums and weights (K,) of the K losses over the pixels with a valid normal.

        Args:
            output: Vectors (B, 3, h, w).
            target: Vectors (B, 3, H, W) as the label files have them, the zero vector where invalid.
        """
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        normals = F.normalize(scaled(output, target.shape[-2:]), dim=1, eps=_SHORT)
        mask = (target != 0).any(1)
        sums, weights = zip(*(loss(normals, target, mask) for loss in self.losses), strict=True)
        return torch.stack(sums), torch.stack(weights)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The normals as unit vectors (B, 3, H, W) float32, from vectors (B, 3, h, w).

        A vector of length zero, which has no direction, becomes the normal of a surface that faces the
        camera.
        """
        vectors = resized(output, frame)
        facing = vectors.new_tensor([0, 0, -1]).view(1, 3, 1, 1)
        # Divided by their largest component, vectors have squares that neither overflow nor vanish.
        largest = vectors.abs().amax(1, keepdim=True)
        return F.normalize(torch.where(largest > 0, vectors / largest, facing), dim=1)

    def ideal(self, target: Tensor) -> Tensor:
        """The target (B, 3, H, W) itself."""
        return target

    def mirrored(self, output: Tensor, width: int) -> Tensor:
        """The vectors (B, 3, h, w) with their x turned around."""
        return output * output.new_tensor([-1, 1, 1]).view(3, 1, 1)

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The mean of the directions (B, 3, h, w)."""
        return torch.stack([F.normalize(output, dim=1, eps=_SHORT) for output in outputs]).mean(0)

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Mean and median angle, and the shares within 11.25, 22.5 and 30 degrees."""
        return [NormalsMetrics()]

    def draw(self, labels: Array, classes: Classes) -> Picture:
        """Normals (3, H, W) as the color (n + 1) / 2, black where invalid."""
        valid = (labels != 0).any(0)
        colors = np.rint(255 * (np.clip(labels, -1, 1) + 1) / 2)
        return np.where(valid, colors, 0).astype(np.uint8).transpose(1, 2, 0)

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of one minus the cosine of the angle, from vectors (B, 3, h, w)."""
        return terms([angular_distance(output, taught)])

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The normals as colors, black where invalid."""
        return self.draw(self.target(batch)[0].cpu().numpy(), classes)
