"""Regions from predicted affinities between pixels."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fusionseg.heads.base import resized
from fusionseg.heads.dense import DenseLogits
from fusionseg.heads.ranges import MIN_AREA, PROBABILITY, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_graph import OFFSETS, Offset, check_offsets, ends, partition
from fusionseg.losses import BalancedBCE, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.losses.enlarging import wide
from fusionseg.sample import Classes, Frame, Picture, Sample
from fusionseg.visualize import heat_colors


class AffinityHead(DenseLogits, RegionHead):
    """Predicts which pixels belong to the same region as others at fixed offsets from them.

    The output (B, K, h, w) has one logit for each offset o_k (Lee et al., arXiv:1706.00120): its sigmoid at
    pixel p is the affinity, the probability that p and p + o_k are of one region. Edges between neighbors
    alone leak through one wrong pixel. So they only make fragments, no larger than a cell of a grid, and the
    mutex watershed (Wolf et al., ECCV 2018) of the fragments' mean affinities, long edges included, makes
    the regions. Parts of a region that lie apart are joined where an edge spans the gap.

    Offsets are pixels of the network's input. Regions are found at its resolution, and each pixel of the
    label file takes the nearest one's; at twice the size a bilinear vote of the four around it is the same.

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss of the offsets of each reach, of which the mean is taken; class 1 is the same
            region.
        offsets: Offsets (down, right), in pixels of the network's input: (0, 1), (1, 0) and any others that
            go down or, within a row, to the right.
        threshold: Pixels of a larger affinity attract each other, and others repel each other.
        cell: Height and width of a cell of the fragments' grid, in pixels of the network's input.
        min_area: Smaller regions, in pixels of the label file, are merged into the nearest one.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If an offset is missing, occurs twice or points back, `threshold` is not in (0, 1), or
            `cell` is less than 2.
    """

    output_options: ClassVar[tuple[str, ...]] = ("offsets",)

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = BalancedBCE,
        offsets: Sequence[Offset] = OFFSETS,
        threshold: float = 0.5,
        cell: int = 16,
        min_area: int = 20,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.offsets = [(down, right) for down, right in offsets]
        check_offsets(self.offsets)
        reaches = [max(map(abs, offset)) for offset in self.offsets]
        self.groups = [[k for k, r in enumerate(reaches) if r == reach] for reach in dict.fromkeys(reaches)]
        self.threshold = threshold
        self.cell = cell
        self.min_area = min_area
        self.check_decoding()
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, len(offsets), 1))
        self.criterion = loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The threshold, the size of a cell and the smallest area."""
        return {"threshold": PROBABILITY, "cell": Range(4, 64, log=True), "min_area": MIN_AREA}

    def check_decoding(self) -> None:
        """Raises a ValueError unless the threshold is in (0, 1) and the cell at least 2."""
        if not 0 < self.threshold < 1:
            raise ValueError(f"expected a threshold in (0, 1), found {self.threshold}")
        if self.cell < 2:
            raise ValueError(f"expected cells of at least 2 pixels, found {self.cell}")

    def forward(self, features: Tensor) -> Tensor:
        """The logits (B, K, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """Whether both ends of an edge are of one region, and both are labelled pixels, (B, K, H, W) bool."""
        region = batch["region"]
        labelled = region > 0
        # Half the memory and as many different ids: 32768 and more become negative.
        region = region.short()
        same = region.new_zeros(len(region), len(self.offsets), *region.shape[1:], dtype=torch.bool)
        mask = torch.zeros_like(same)
        for k, offset in enumerate(self.offsets):
            near, far = ends(region.shape[1:], offset)
            torch.eq(region[:, *near], region[:, *far], out=same[:, k, *near])
            torch.logical_and(labelled[:, *near], labelled[:, *far], out=mask[:, k, *near])
        return same, mask

    def loss(self, output: Tensor, target: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The sums and weights (R,) of the loss for each of the R reaches, sums divided by R.

        The maps of offsets of one reach, such as (0, 3) and (3, 0), count as further images.

        Args:
            output: Logits (B, K, h, w).
            target: Edges inside of regions and labelled edges, both (B, K, H, W) bool.
        """
        maps = (wide(output), *target)
        terms = []
        for group in self.groups:
            logits, same, mask = (torch.cat([m[:, k] for k in group]) for m in maps)
            terms.append(sums_and_weights([self.criterion], logits.unsqueeze(1), same.long(), mask))
        sums, weights = (torch.cat(values) for values in zip(*terms, strict=True))
        return sums / len(terms), weights

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from logits (B, K, h, w), found on the CPU."""
        logits = resized(output.detach(), frame._replace(size=frame.valid)).cpu().numpy()
        rows, columns = (
            (2 * torch.arange(size) + 1) * valid // (2 * size)
            for size, valid in zip(frame.size, frame.valid, strict=True)
        )
        min_area = self.min_area * math.prod(frame.valid) / math.prod(frame.size)
        maps = [partition(image, self.offsets, self.threshold, self.cell, min_area) for image in logits]
        return torch.from_numpy(np.stack(maps))[:, rows[:, None], columns].long().to(output.device)

    def contour_logits(self, output: Tensor, frame: Frame) -> Tensor:
        """The logit that an edge to the right or below is cut, float32 (B, H, W), over the temperature.

        It is minus infinity at the last pixel, which no edge leaves.
        """
        near = [self.offsets.index(offset) for offset in ((0, 1), (1, 0))]
        logits = resized(output[:, near], frame)
        # no edge leaves the image
        logits[:, 0, :, -1] = math.inf
        logits[:, 1, -1, :] = math.inf
        return -logits.amin(1) / self.temperature

    def ideal(self, target: tuple[Tensor, Tensor]) -> Tensor:
        """Logits (B, K, H, W) of +-20; unlabelled pixels belong to nothing."""
        same, mask = target
        return 40.0 * (same & mask).float() - 20.0

    def mirrored(self, output: Tensor, width: int) -> Tensor:
        """The logits (B, K, h, w) of the edges' mirror images.

        Those that lead down and to the left are others of `offsets`; those that lead to the left are read at
        their other end.

        Raises:
            ValueError: If `offsets` have no mirror image of one that is diagonal.
        """
        planes = []
        for down, right in self.offsets:
            if down and right:
                if (down, -right) not in self.offsets:
                    raise ValueError(
                        f"expected the offset {(down, -right)} beside {(down, right)}, to mirror images by"
                    )
                planes.append(output[:, self.offsets.index((down, -right))])
            else:
                plane = output[:, self.offsets.index((down, right))]
                planes.append(_shifted(plane, right * output.shape[3] / width))
        return torch.stack(planes, 1)

    def rescaled(self, output: Tensor, factor: float) -> Tensor:
        """The logits (B, K, h, w) of edges that are as long in the image as `offsets`.

        An edge of the copy is `factor` times as long. Its logit is interpolated between those of the shorter
        and the longer offset in its direction, by the logarithm of the length; nothing is extrapolated.
        """
        planes = []
        for offset in self.offsets:
            shorter, longer, share = self._around(offset, factor)
            planes.append(torch.lerp(output[:, shorter], output[:, longer], share))
        return torch.stack(planes, 1)

    def _around(self, offset: Offset, factor: float) -> tuple[int, int, float]:
        """The next offsets in the direction of one, around `factor` times its length, and where that lies."""
        along = {
            max(map(abs, other)): k
            for k, other in enumerate(self.offsets)
            if other[0] * offset[1] == other[1] * offset[0]
        }
        length = max(map(abs, offset)) * factor
        shorter = max((reach for reach in along if reach <= length), default=min(along))
        longer = min((reach for reach in along if reach >= length), default=max(along))
        share = math.log(length / shorter) / math.log(longer / shorter) if longer > shorter else 0.0
        return along[shorter], along[longer], share

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """The share of a pixel's edges that stay in its region, from none (violet) to all (yellow)."""
        same, mask = (planes[0].cpu().numpy() for planes in self.target(batch))
        number = mask.sum(0)
        return heat_colors((same & mask).sum(0) / number.clip(1), number > 0)


def _shifted(plane: Tensor, columns: float) -> Tensor:
    """The values (B, h, w) so many columns further to the right, interpolated; the last one from there on."""
    width = plane.shape[2]
    place = (torch.arange(width, device=plane.device) + columns).clamp(max=width - 1)
    left = place.floor().long()
    return torch.lerp(plane[..., left], plane[..., (left + 1).clamp(max=width - 1)], place - left)
