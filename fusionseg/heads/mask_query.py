"""Regions from queries, each of which answers with a mask."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fusionseg.heads.limits import warn_of_limit
from fusionseg.heads.query_decoder import HEADS, QueryDecoder, QueryOutput
from fusionseg.heads.query_decoding import query_regions
from fusionseg.heads.query_loss import QueryWeights, query_loss
from fusionseg.heads.query_target import QueryTarget, query_target
from fusionseg.heads.ranges import MIN_AREA, PROBABILITY, Range
from fusionseg.heads.region import RegionHead
from fusionseg.sample import OFFSET, VOID, Frame, Sample


class MaskQueryHead(RegionHead):
    """Predicts N masks, and for each whether it is a region (Mask2Former, arXiv:2112.01527).

    N queries read the encoder's pyramid in a transformer decoder, and each answers with a mask, which may
    have several parts, and with the probability of being no object. In training each region is assigned to
    a query of its own at the least total cost, and the loss is that of these pairs (MaskFormer,
    arXiv:2107.06278, eq. 2), for the answers after every layer. Hungarian matching runs on the host, for
    which training waits once a step. Queries without a region learn to be no object, also where images are
    partly unlabelled.

    Other than in the papers, masks are compared at all labelled pixels in place of random points, so that
    losses do not depend on chance, and all regions are of one class, unless `classify` is set. Even then
    classes only help to learn regions, which alone are the answer: classes are the semantic head's.

    Args:
        in_channels: Channels of the maps of the encoder's pyramid.
        num_classes: The number of classes of the data.
        classify: Learn to tell the classes of regions, the most frequent one in `semantic` of each.
        queries: The number N of queries, and so of the regions that can be found in an image; 100 in the
            paper. Regions beyond that, the smallest, are not learned, with a warning, as where as many are
            found.
        width: Channels of the decoder, a multiple of 8.
        layers: Layers of the decoder, which read the maps in turn, coarse to fine; 9 in the paper.
        class_weight: Factor of the cross-entropy of the classes.
        mask_weight: Factor of the binary cross-entropy of the masks.
        dice_weight: Factor of the Dice loss of the masks.
        no_object: The weight of a query without a region in the cross-entropy of the classes.
        threshold: Queries that are less likely an object are ignored when regions are decoded.
        overlap: So are masks that win a smaller share of their own pixels against the others.
        min_area: Regions of fewer pixels of the label file are merged into their neighbors.

    Raises:
        ValueError: If a number is out of its range.
    """

    reads_pyramid: ClassVar[bool] = True
    loss_waits: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int = 1,
        classify: bool = False,
        queries: int = 100,
        width: int = 128,
        layers: int = 3,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        no_object: float = 0.1,
        threshold: float = 0.8,
        overlap: float = 0.8,
        min_area: int = 20,
    ) -> None:
        super().__init__()
        if not 0 < queries < OFFSET or width < HEADS or width % HEADS or layers < 1:
            raise ValueError(
                f"expected queries in 1..{OFFSET - 1}, a width that is a multiple of {HEADS} and at least 1 "
                f"layer, found {queries}, {width} and {layers}"
            )
        self.weights = QueryWeights(class_weight, mask_weight, dice_weight, no_object)
        if min(self.weights) < 0:
            raise ValueError(f"expected weights of at least 0, found {self.weights}")
        self.num_classes = num_classes if classify else 1
        self.classify = classify
        self.queries = queries
        self.threshold = threshold
        self.overlap = overlap
        self.min_area = min_area
        self.check_decoding()
        self.decoder = QueryDecoder(in_channels, self.num_classes, queries, width, layers)

    @property
    def tunable(self) -> Mapping[str, Range]:
        """Both thresholds and the smallest area."""
        return {"threshold": PROBABILITY, "overlap": PROBABILITY, "min_area": MIN_AREA}

    def check_decoding(self) -> None:
        """Raises a ValueError unless thresholds are in [0, 1] and the smallest area is not negative."""
        if not 0 <= self.threshold <= 1 or not 0 <= self.overlap <= 1 or self.min_area < 0:
            raise ValueError(
                "expected threshold and overlap in [0, 1] and min_area of at least 0, "
                f"found {self.threshold}, {self.overlap} and {self.min_area}"
            )

    def forward(self, features: Sequence[Tensor]) -> QueryOutput:
        """The answers from the maps (B, in_channels[i], h_i, w_i), fine to coarse."""
        return self.decoder(features)  # type: ignore[no-any-return]

    def target(self, batch: Sample) -> QueryTarget:
        """The N largest regions of the region map (B, H, W), and their classes if these are learned."""
        semantic = batch["semantic"] if self.classify else None
        return query_target(batch["region"], self.queries, semantic, self.num_classes)

    def loss(self, output: QueryOutput, target: QueryTarget) -> tuple[Tensor, Tensor]:
        """The sums and weights (3,) of the losses of the classes, of the masks and of their overlap."""
        return query_loss(output, target, self.weights)

    def labels(self, output: QueryOutput, frame: Frame) -> Tensor:
        """The region ids (B, H, W) int64 from 1, from the answers of the last layer."""
        masks = output.masks[:, -1].detach().float()
        objects = 1 - output.classes[:, -1].detach().float().softmax(-1)[..., -1]
        maps = [
            query_regions(*image, frame, self.threshold, self.overlap, self.min_area)
            for image in zip(masks, objects, strict=True)
        ]
        if max(int(found.max()) for found in maps) >= self.queries:
            warn_of_limit("queries", self.queries)
        return torch.from_numpy(np.stack(maps).astype(np.int64)).to(masks.device)

    def ideal(self, target: QueryTarget) -> QueryOutput:
        """Answers of one layer with logits of +-20: the k-th query's mask is the k-th region."""
        if int(target.number.max()) > self.queries:
            warn_of_limit("queries", self.queries)
        numbers = torch.arange(1, self.queries + 1, device=target.slot.device)
        masks = target.slot[:, None, None] == numbers[:, None, None]
        exists = numbers <= target.number[:, None]
        right = target.classes.where(target.classes != VOID, 0).where(exists, self.num_classes)
        classes = torch.nn.functional.one_hot(right, self.num_classes + 1)[:, None]
        return QueryOutput(40.0 * masks - 20.0, 40.0 * classes - 20.0)
