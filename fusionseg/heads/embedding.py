"""Regions from predicted embeddings of pixels, which are clustered."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fusionseg.heads.ranges import MIN_AREA, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_embeddings import embedded_regions
from fusionseg.losses import Discriminative, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.sample import OFFSET, Classes, Frame, Picture, Sample

_SCATTER = 40503
"""Odd, so that multiplication by it permutes the 16-bit ids: 2^16 times the golden ratio's fraction."""


class EmbeddingHead(RegionHead):
    """Predicts a vector for every pixel, near to those of its region and far from all others.

    The output is embeddings (B, E, h, w) without unit. The loss, and the clustering that turns them into
    regions, follow De Brabandere et al. (arXiv:1708.02551, eq. 1-4). A region may consist of several parts.

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss, whose target is the region ids (B, H, W).
        dimensions: Length E of the vectors, at least 2.
        bandwidth: Radius of a cluster, in the unit of the embeddings. With the loss's margins, 2 delta_v
            contains a region as seen from each of its pixels, and 2 (delta_d - delta_v) reaches no other one;
            with the default loss these are 1 and 2.
        min_area: Clusters of fewer pixels of the label file are merged into their neighbors.
        max_clusters: At most this many clusters are looked for, with a warning where there are more; many
            thousands take seconds.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `dimensions` is below 2, `bandwidth` not positive, `min_area` negative or
            `max_clusters` not in 1..65535.
    """

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = Discriminative,
        dimensions: int = 8,
        bandwidth: float = 1.0,
        min_area: int = 20,
        max_clusters: int = 4096,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.bandwidth = bandwidth
        self.min_area = min_area
        self.max_clusters = max_clusters
        self.check_decoding()
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, dimensions, 1))
        self.criterion = loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The bandwidth and the smallest area."""
        return {"bandwidth": Range(0.3, 4.0, log=True), "min_area": MIN_AREA}

    def check_decoding(self) -> None:
        """Raises a ValueError as the constructor does."""
        if self.dimensions < 2 or not self.bandwidth > 0:
            raise ValueError(
                "expected at least 2 dimensions and a positive bandwidth, found "
                f"{self.dimensions} and {self.bandwidth}"
            )
        if self.min_area < 0 or not 0 < self.max_clusters < OFFSET:
            raise ValueError(
                f"expected min_area of at least 0 and max_clusters in 1..{OFFSET - 1}, "
                f"found {self.min_area} and {self.max_clusters}"
            )

    def forward(self, features: Tensor) -> Tensor:
        """The embeddings (B, E, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> Tensor:
        """The region map (B, H, W) int64 itself, 0 where unlabelled."""
        return batch["region"]  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the loss over the images.

        Args:
            output: Embeddings (B, E, h, w).
            target: Region ids (B, H, W), 0 where unlabelled.
        """
        return sums_and_weights([self.criterion], output, target, target > 0)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from embeddings (B, E, h, w); clustered on the CPU."""
        return embedded_regions(output, frame, self.bandwidth, self.min_area, self.max_clusters)

    def ideal(self, target: Tensor) -> Tensor:
        """Embeddings (B, E, H, W) that are the same in a region and six bandwidths or more from all others.

        They are points of a grid in E dimensions: the digits of the region id after a permutation, which sets
        consecutive ids far apart, in the smallest base in which E digits are enough for all ids.
        """
        base = math.ceil(round(OFFSET ** (1 / self.dimensions), 9))
        places = [min(base**place, OFFSET) for place in range(self.dimensions)]
        code = (target * _SCATTER % OFFSET).unsqueeze(1)
        digits = code // torch.tensor(places, device=target.device).view(-1, 1, 1) % base
        embeddings: Tensor = (digits - (base - 1) / 2) * (6 * self.bandwidth)
        return embeddings

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The regions themselves, black where unlabelled."""
        return self.draw(self.target(batch)[0].cpu().numpy(), classes)
