"""Regions as votes for their centers."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from fusionseg.heads.base import Head, resized, scaled
from fusionseg.heads.region_decoding import group
from fusionseg.heads.region_targets import center_heatmap, center_offsets
from fusionseg.losses import AbsoluteError, Loss, MeanSquaredError
from fusionseg.sample import Frame, Sample


class CenterTarget(NamedTuple):
    """Heat of centers (B, 1, H, W), offsets to the own center (B, 2, H, W), and what is labelled (B, H, W)."""

    heat: Tensor
    offset: Tensor
    mask: Tensor


class CenterOffsetHead(Head):
    """Regions as votes: every pixel points at the center of its region (Panoptic-DeepLab, arXiv:1911.10194).

    The output (B, 3, h, w) has three channels: the logit of being a center, then the vertical and the horizontal
    distance to it in units of 32 pixels of the network's input, so that they are of the order of one. All regions take
    part, stuff too.

    Args:
        in_channels: Channels of the features.
        center_loss: Recipe of the loss of the centers' heat.
        offset_loss: Recipe of the loss of the distances.
        center_weight: Weight of the heat, against the distances in pixels at `offset_weight`.
        offset_weight: Weight of the distances.
        sigma: Radius of a center in the target, in pixels of the network's input.
        threshold: Centers with less heat than this are ignored when reading labels.
        dropout: Share of the feature channels that are zeroed in training.
    """

    task: ClassVar[str] = "region"
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
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 < threshold < 1 or sigma <= 0:
            raise ValueError(
                f"expected a threshold in (0, 1) and a positive sigma, found {threshold} and {sigma}"
            )
        self.sigma, self.threshold = sigma, threshold
        self.weights = center_weight, offset_weight
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 3, 1))
        self.center_loss, self.offset_loss = center_loss(), offset_loss()

    def forward(self, features: Tensor) -> Tensor:
        """The output at the resolution of the features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> CenterTarget:
        """Where the centers are and how far away, in pixels."""
        region = batch["region"]
        return CenterTarget(center_heatmap(region, self.sigma), center_offsets(region), region > 0)

    def loss(self, output: Tensor, target: CenterTarget) -> tuple[Tensor, Tensor]:
        """Two terms: heat and distances."""
        output = scaled(output, target.mask.shape[-2:])
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        heat, heat_weight = self.center_loss(output[:, :1].sigmoid(), target.heat, target.mask)
        far, far_weight = self.offset_loss(output[:, 1:] * self.UNIT, target.offset, target.mask)
        return torch.stack([heat * self.weights[0], far * self.weights[1]]), torch.stack(
            [heat_weight, far_weight]
        )

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """Every pixel in the region of the center that is nearest to where it points."""
        output = resized(output, frame)
        grown = output.new_tensor([s / v for s, v in zip(frame.size, frame.valid, strict=True)]).view(2, 1, 1)
        heat, offset = output[:, :1].sigmoid(), output[:, 1:] * self.UNIT * grown
        return torch.stack([group(h, o, self.threshold) for h, o in zip(heat, offset, strict=True)])

    def ideal(self, target: CenterTarget) -> Tensor:
        """The target's heat as a logit, and its offsets."""
        return torch.cat([target.heat.clamp(1e-6, 1 - 1e-6).logit(), target.offset / self.UNIT], 1)
