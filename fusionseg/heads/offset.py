"""Regions from predicted offsets alone, which vote for the regions' centroids."""

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UserError
from fusionseg.heads.base import Extra, resized
from fusionseg.heads.dense import Dense
from fusionseg.heads.ranges import MIN_AREA, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_embeddings import embedded_regions
from fusionseg.heads.region_targets import center_offsets, centroids
from fusionseg.losses import AbsoluteError, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.losses.enlarging import scaled
from fusionseg.metrics import ImageMetric, OffsetMetrics
from fusionseg.sample import OFFSET, Classes, Frame, Picture, Sample
from fusionseg.visualize import offset_colors


class OffsetTarget(NamedTuple):
    """Offsets (B, 2, H, W) to the centroid, down, then right, in pixels, and where they count (B, H, W)."""

    offset: Tensor
    mask: Tensor


class OffsetHead(Dense, RegionHead):
    """Predicts every pixel's offset to the centroid of its region (Kendall et al., arXiv:1705.07115, sec. 4).

    The output (B, 2, h, w) is the vertical and the horizontal offset, in units of `scale` pixels of the
    network's input. Unlike in `CenterOffsetHead`, nothing says where centers are: pixels vote for the places
    that they point at, and the votes are clustered, by mean shift as those of `EmbeddingHead`; the paper's
    OPTICS takes time in the square of the pixels. Regions with centroids within a bandwidth become one.

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss of the offsets in pixels, by default the paper's L1 norm.
        instances: Ids of the classes whose regions are learned, by default all; in the paper those of things.
            Regions elsewhere are then arbitrary, but those of panoptic maps, which come from things alone.
        scale: Pixels per unit of the output; 1 in the paper. With 32, outputs are of the order of one.
        bandwidth: Radius of a cluster of votes, in pixels of the network's input.
        min_area: Clusters of fewer pixels of the label file are merged into their neighbors.
        max_clusters: At most this many clusters are looked for, with a warning where there are more.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If a length is not positive, `min_area` negative or `max_clusters` not in 1..65535.
    """

    output_options: ClassVar[tuple[str, ...]] = ("scale",)

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = AbsoluteError,
        instances: list[int] | None = None,
        scale: float = 32.0,
        bandwidth: float = 6.0,
        min_area: int = 20,
        max_clusters: int = 4096,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"expected a positive scale, found {scale}")
        self.instances = instances
        self.scale = scale
        self.bandwidth = bandwidth
        self.min_area = min_area
        self.max_clusters = max_clusters
        self.check_decoding()
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 2, 1))
        self.criterion = loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The bandwidth and the smallest area."""
        return {"bandwidth": Range(1.0, 32.0, log=True), "min_area": MIN_AREA}

    @property
    def extras(self) -> Mapping[str, Extra]:
        """The offsets, beside those of all region heads."""
        return {**super().extras, "offsets": self.offsets}

    def check_decoding(self) -> None:
        """Raises a ValueError as the constructor does."""
        if not self.bandwidth > 0 or self.min_area < 0 or not 0 < self.max_clusters < OFFSET:
            raise ValueError(
                "expected a positive bandwidth, min_area of at least 0 and max_clusters in "
                f"1..{OFFSET - 1}, found {self.bandwidth}, {self.min_area} and {self.max_clusters}"
            )

    def forward(self, features: Tensor) -> Tensor:
        """The output (B, 2, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> OffsetTarget:
        """Offsets and mask from the region map (B, H, W), and with `instances` from the semantic map."""
        region = batch["region"]
        if self.instances is not None:
            # one by one, as `isin` waits for the device
            chosen = torch.stack([batch["semantic"] == one for one in self.instances]).any(0)
            region = region.where(chosen, 0)
        centers, _ = centroids(region)
        return OffsetTarget(center_offsets(region, centers), region > 0)

    def loss(self, output: Tensor, target: OffsetTarget) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the loss over the pixels of instances, from an output (B, 2, h, w)."""
        output = output.to(torch.promote_types(output.dtype, torch.float32)) * self.scale
        return sums_and_weights([self.criterion], output, *target)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from an output (B, 2, h, w): pixels of the input vote."""
        offsets = scaled(output.float(), frame.padded) * self.scale
        axes = [torch.arange(length, device=output.device) for length in frame.padded]
        votes = torch.stack(torch.meshgrid(axes, indexing="ij")) + offsets
        return embedded_regions(votes, frame, self.bandwidth, self.min_area, self.max_clusters)

    def offsets(self, output: Tensor, frame: Frame) -> Tensor:
        """The offsets (B, 2, H, W) in pixels at `frame.size`, from an output (B, 2, h, w)."""
        enlargement = [size / valid for size, valid in zip(frame.size, frame.valid, strict=True)]
        offsets = resized(output, frame) * self.scale
        return offsets * offsets.new_tensor(enlargement).view(2, 1, 1)

    def ideal(self, target: OffsetTarget) -> Tensor:
        """The output (B, 2, H, W) whose offsets are the target's."""
        return target.offset / self.scale

    def mirrored(self, output: Tensor, width: int) -> Tensor:
        """The output (B, 2, h, w) with its horizontal offsets turned around."""
        return output * output.new_tensor([1, -1]).view(2, 1, 1)

    def rescaled(self, output: Tensor, factor: float) -> Tensor:
        """The output (B, 2, h, w) with offsets in the image's pixels."""
        return output / factor

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Those of all region heads, and the mean instance error; refuses `instances` that are no classes."""
        known = range(len(classes))
        if self.instances is not None and not (self.instances and all(i in known for i in self.instances)):
            raise UserError(
                f"expected model.region_head.instances in 0..{len(classes) - 1}, found {self.instances}"
            )
        return [*super().metrics(classes), OffsetMetrics(self.instances)]

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """Offsets to the centroid: the hue is their direction, brighter ones are longer; void is black."""
        offset, mask = (planes[0].cpu().numpy() for planes in self.target(batch))
        return offset_colors(offset, mask)
