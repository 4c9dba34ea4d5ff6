"""Regions from three classes of pixels: background, interior and border."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from fusionseg.heads.base import resized
from fusionseg.heads.dense import Dense, log_of_mean
from fusionseg.heads.distilled import softmax_divergence, terms
from fusionseg.heads.ranges import MIN_AREA, Range
from fusionseg.heads.region import RegionHead
from fusionseg.heads.region_decoding import connected, filled, numbered
from fusionseg.heads.region_targets import boundaries
from fusionseg.losses import CrossEntropy, Loss
from fusionseg.losses.base import sums_and_weights
from fusionseg.sample import VOID, Array, Classes, Frame, IntMap, Picture, Sample
from fusionseg.visualize import AMBER, SLATE, WHITE, kind_colors

_BACKGROUND, _INTERIOR, _BORDER = range(3)


class TrinaryHead(Dense, RegionHead):
    """Predicts which pixels are background, in the interior or on the border of a region.

    This coding of nuclei is that of Caicedo et al. ("Evaluation of deep learning strategies for nucleus
    segmentation in fluorescence images", Cytometry A, 2019) and of solutions of the Data Science Bowl 2018.
    The output is the logits of the three classes (B, 3, h, w).

    Region maps are partitions, in which 0 is void and no background. So the background is what the sample
    declares to be: labelled pixels whose class is `background`. It has no border, and is one region in
    however many parts. All other regions have a border towards it and towards each other. Without such a
    class, or where classes are void, no pixel is background, and regions are basins within boundaries.

    Connected pixels that are not background are an object, and each interior in it is a region. The other
    pixels of the object join the nearest of its interiors; an object without an interior is one region.

    Args:
        in_channels: Channels of the features.
        loss: Recipe of the loss of the three classes, in the order background, interior, border.
        background: Id of the class that is the background, such as 0 in `DSB2018`; null if none is.
        width: Width of the border between two regions, in pixels of the network's input, half of it in each.
        min_area: Smaller interiors, in pixels of the label file, do not become regions, and smaller objects
            join the background.
        dropout: Share of the feature channels that are zeroed in training.

    Raises:
        ValueError: If `width` is not a positive even number or `background` not in 0..254.
    """

    output_options: ClassVar[tuple[str, ...]] = ("width", "background")

    def __init__(
        self,
        in_channels: int,
        loss: Callable[[], Loss] = CrossEntropy,
        background: int | None = None,
        width: int = 2,
        min_area: int = 20,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(
                f"a border has two sides of equal thickness: expected width 2, 4, 6 ..., found {width}"
            )
        if background is not None and not 0 <= background < VOID:
            raise ValueError(f"expected the id of a class in 0..{VOID - 1} as background, found {background}")
        self.background = background
        self.width = width
        self.min_area = min_area
        self.layers = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(in_channels, 3, 1))
        self.criterion = loss()

    @property
    def tunable(self) -> Mapping[str, Range]:
        """The smallest area."""
        return {"min_area": MIN_AREA}

    def forward(self, features: Tensor) -> Tensor:
        """The logits (B, 3, h, w) from features (B, in_channels, h, w)."""
        return self.layers(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """The classes (B, H, W) int64, in the order of the loss's, and the labelled pixels (B, H, W) bool."""
        region = batch["region"]
        kind = _INTERIOR + boundaries(region, self.width).long()
        if self.background is not None:
            kind.masked_fill_(batch["semantic"] == self.background, _BACKGROUND)
        return kind, region > 0

    def loss(self, output: Tensor, target: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the loss over the labelled pixels, from logits (B, 3, h, w)."""
        return sums_and_weights([self.criterion], output, *target)

    def labels(self, output: Tensor, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from logits (B, 3, h, w), found on the CPU."""
        # on CPUs much faster than argmax
        kinds = resized(output.detach(), frame).max(1).indices.byte().cpu().numpy()
        maps = np.stack([_regions(kind, self.min_area) for kind in kinds])
        return torch.from_numpy(maps.astype(np.int64)).to(output.device)

    def contour_logits(self, output: Tensor, frame: Frame) -> Tensor:
        """The logit of the border against both other classes, float32 (B, H, W), over the temperature."""
        logits = resized(output, frame)
        return (logits[:, _BORDER] - logits[:, :_BORDER].logsumexp(1)) / self.temperature

    def ideal(self, target: tuple[Tensor, Tensor]) -> Tensor:
        """Logits (B, 3, H, W) of +-20; unlabelled pixels are background, so that they connect no regions."""
        kind, mask = target
        kind = kind.where(mask, _BACKGROUND).unsqueeze(1)
        return 40.0 * torch.cat([kind == k for k in (_BACKGROUND, _INTERIOR, _BORDER)], 1).float() - 20.0

    def averaged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The logits (B, 3, h, w) of the mean probabilities."""
        return log_of_mean(outputs)

    def distillation(self, output: Tensor, taught: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The sum and weight (1,) of the divergence of probabilities, from logits (B, 3, h, w)."""
        return terms([softmax_divergence(output, taught, temperature)])

    def draw_target(self, batch: Sample, classes: Classes) -> Picture:
        """Background in gray, interiors in amber, borders in white."""
        kind, mask = (plane[0].cpu().numpy() for plane in self.target(batch))
        return kind_colors(kind, (SLATE, AMBER, WHITE), mask)


def _regions(kind: Array, min_area: int) -> IntMap:
    """The region map, int32 (H, W) from 1, of the classes (H, W)."""
    interiors = numbered(connected(kind == _INTERIOR), min_area)
    objects = numbered(connected(kind != _BACKGROUND), min_area)
    number = interiors.max()
    # Without any interior, all pixels join one that is of no object.
    owner = np.full(number + 2, -1, np.int32)
    owner[interiors] = objects
    # Pixels nearest to an interior of another object join one of their own, or else are a further region, as
    # is the background (object 0), which comes last because it may have no pixel.
    own = np.zeros(objects.max() + 1, np.int32)
    own[owner[1:-1]] = np.arange(1, number + 1)
    further = np.flatnonzero(own == 0)
    own[further] = np.arange(number + len(further), number, -1)
    joined = filled(interiors)
    return np.where(owner[joined] == objects, joined, own[objects])
