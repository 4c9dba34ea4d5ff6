"""Kinds, boxes and masks of the regions in boxes by torchvision's RoI heads, and their losses."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.ops import MultiScaleRoIAlign

from fusionseg.heads.region_boxes import RegionBoxes
from fusionseg.heads.region_proposals import CERTAIN, Anchored, image_size
from fusionseg.heads.region_samples import MASK, EvenSampler, Samples, mask_targets, matched
from fusionseg.losses.enlarging import wide

AT_ONCE = 128
"""Masks that are computed at a time where nothing is learned."""


class Detections(NamedTuple):
    """The regions found in a batch, at most D in an image, the likeliest first.

    Args:
        boxes: Left, top, right and bottom edges (B, D, 4) in pixels of the network's input.
        scores: The probability of each (B, D), 0 where there is none.
        masks: The probability of each cell of its box to be of it (B, D, 28, 28).
    """

    boxes: Tensor
    scores: Tensor
    masks: Tensor


class MaskRCNNOutput(NamedTuple):
    """The output of `MaskRCNNHead`.

    Args:
        anchored: Feature maps, and what they say of the anchors.
        truth: What a perfect network reads boxes from instead of the maps; None of any other.
        detections: The regions found; None in training, where nobody reads them.
    """

    anchored: Anchored
    truth: RegionBoxes | None = None
    detections: Detections | None = None


class Reader(Protocol):
    """Says what is in R boxes, a list of (N_i, 4) for the images of a batch."""

    def boxes(self, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of no region and of K kinds (R, 1 + K), and for each the deltas to its box (R, 4 + 4 K)."""

    def masks(self, boxes: list[Tensor]) -> Tensor:
        """Logits of each cell to be of the region, if it were of each kind (R, 1 + K, 28, 28)."""


class PooledReader:
    """Reads feature maps by RoI heads.

    Args:
        heads: The RoI heads.
        maps: Feature maps (B, C, h, w), the first of them at stride 4.
    """

    def __init__(self, heads: RoIHeads, maps: Sequence[Tensor]) -> None:
        self.heads = heads
        self.maps = {str(level): wide(m) for level, m in enumerate(maps)}
        self.sizes = [image_size(maps)] * len(maps[0])
        self.dtype = next(heads.parameters()).dtype

    def boxes(self, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See `Reader`."""
        pooled = self.heads.box_roi_pool(self.maps, boxes, self.sizes).to(self.dtype)
        logits, deltas = self.heads.box_predictor(self.heads.box_head(pooled))
        return wide(logits), wide(deltas)

    def masks(self, boxes: list[Tensor]) -> Tensor:
        """See `Reader`."""
        pooled = self.heads.mask_roi_pool(self.maps, boxes, self.sizes).to(self.dtype)
        # the masks of a thousand boxes would take gigabytes at once, which training needs for its gradients
        parts = [pooled] if torch.is_grad_enabled() else pooled.split(AT_ONCE)
        return wide(torch.cat([self.heads.mask_predictor(self.heads.mask_head(part)) for part in parts]))


class PerfectReader:
    """Reads the truth, as RoI heads that have learned it do.

    Args:
        heads: RoI heads, of which only the matching of boxes with regions is used.
        truth: The regions.
        kinds: The number of kinds K.
    """

    def __init__(self, heads: RoIHeads, truth: RegionBoxes, kinds: int) -> None:
        self.heads = heads
        self.truth = truth
        self.kinds = kinds

    def boxes(self, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See `Reader`."""
        found = matched(self.heads, boxes, self.truth)
        kind = torch.cat(found.kinds).clamp_min(0)
        deltas = torch.cat(found.deltas).where((kind > 0).unsqueeze(1), 0)
        logits = CERTAIN * (2 * F.one_hot(kind, 1 + self.kinds) - 1)
        return logits.to(deltas.dtype), deltas.repeat(1, 1 + self.kinds)

    def masks(self, boxes: list[Tensor]) -> Tensor:
        """See `Reader`."""
        found = matched(self.heads, boxes, self.truth)
        share, _ = mask_targets(self.truth.region, found.regions, boxes)
        rounding = torch.finfo(share.dtype).eps
        logits = share.clamp(rounding, 1 - rounding).logit()
        return logits.unsqueeze(1).expand(-1, 1 + self.kinds, -1, -1)


def roi_heads(
    levels: int, channels: int, kinds: int, samples: int, threshold: float, nms: float, max_regions: int
) -> RoIHeads:
    """RoI heads with torchvision's settings.

    Args:
        levels: Number of feature maps, the first at stride 4.
        channels: Channels of each map.
        kinds: Number of kinds of regions.
        samples: The boxes of an image that are learned from.
        threshold: Smallest probability of what is found.
        nms: Boxes with a larger IoU with a likelier one of their kind are left out.
        max_regions: At most this many regions are found in an image.
    """
    names = [str(level) for level in range(levels)]
    heads = RoIHeads(
        MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
        TwoMLPHead(channels * 7 * 7, 4 * channels),
        FastRCNNPredictor(4 * channels, 1 + kinds),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=samples,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=threshold,
        nms_thresh=nms,
        detections_per_img=max_regions,
        mask_roi_pool=MultiScaleRoIAlign(names, output_size=MASK // 2, sampling_ratio=2),
        mask_head=MaskRCNNHeads(channels, (channels,) * 4, dilation=1),
        mask_predictor=MaskRCNNPredictor(channels, channels, 1 + kinds),
    )
    heads.fg_bg_sampler = EvenSampler(samples, 0.25)
    return heads


def roi_losses(reader: Reader, chosen: Samples, region: Tensor) -> tuple[Tensor, Tensor]:
    """The sums and weights (3,) of torchvision's losses of kinds, boxes and masks.

    The cells of a mask count by their labelled part. Their cross-entropy is that above its minimum, which is
    not 0 where regions share a cell; the gradient is the same.

    Args:
        reader: What says what is in the boxes.
        chosen: The boxes to learn from.
        region: Region ids (B, H, W), 0 where unlabelled.
    """
    logits, deltas = reader.boxes(chosen.boxes)
    kind = torch.cat(chosen.kinds)
    positive = kind > 0
    deltas = deltas.view(*logits.shape, 4)[positive, kind[positive]]
    boxes = [box[kinds > 0] for box, kinds in zip(chosen.boxes, chosen.kinds, strict=True)]
    ids = [own[kinds > 0] for own, kinds in zip(chosen.regions, chosen.kinds, strict=True)]
    masks = reader.masks(boxes)
    masks = masks[torch.arange(len(masks), device=masks.device), kind[positive]]
    share, part = mask_targets(region, ids, boxes)
    minimum = torch.special.entr(share) + torch.special.entr(1 - share)
    excess = F.binary_cross_entropy_with_logits(masks, share, reduction="none") - minimum
    sums = [
        F.cross_entropy(logits, kind, reduction="sum"),
        F.smooth_l1_loss(deltas, torch.cat(chosen.deltas)[positive], beta=1 / 9, reduction="sum"),
        (excess * part).sum(),
    ]
    number = part.new_full((), len(kind))
    return torch.stack(sums), torch.stack([number, number, part.sum()])


def detections(heads: RoIHeads, reader: Reader, proposals: list[Tensor], size: tuple[int, int]) -> Detections:
    """What is found in images, after non-maximum suppression.

    Args:
        heads: The RoI heads.
        reader: What says what is in boxes.
        proposals: The boxes to begin with (N_i, 4), for each image.
        size: Height and width of the images.
    """
    logits, deltas = reader.boxes(proposals)
    sizes = [size] * len(proposals)
    boxes, scores, kinds = heads.postprocess_detections(logits, deltas, proposals, sizes)
    masks = [each.squeeze(1) for each in maskrcnn_inference(reader.masks(boxes), kinds)]
    return Detections(*(pad_sequence(each, batch_first=True) for each in (boxes, scores, masks)))
