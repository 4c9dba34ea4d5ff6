"""The boxes that torchvision's RoI heads learn from, and what they are to find in them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import roi_align

from fusionseg.heads.region_boxes import RegionBoxes, labelled_share

MASK = 28
"""Height and width of a mask."""


class Samples(NamedTuple):
    """Boxes to learn from, for each image.

    Args:
        boxes: Left, top, right and bottom edges (N_i, 4).
        kinds: The kind of the region in each (N_i,), 0 where there is none.
        deltas: From each box to that of its region (N_i, 4), as torchvision encodes it.
        regions: The id of the region (N_i,).
    """

    boxes: list[Tensor]
    kinds: list[Tensor]
    deltas: list[Tensor]
    regions: list[Tensor]


class EvenSampler:
    """Takes boxes at even distances in their order, where torchvision's sampler draws them.

    So a step depends on the images alone: two ranks take the boxes that one process would.

    Args:
        number: How many boxes of an image are taken.
        share: At most this share of them have a region.
    """

    def __init__(self, number: int, share: float) -> None:
        self.number = number
        self.share = share

    def __call__(self, kinds: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """For each image the boxes taken with a region and those without one, uint8 (N_i,), 1 where taken.

        Args:
            kinds: The kind of the region in each box (N_i,), 0 where there is none, -1 for what is not taken.
        """
        positive = [_evenly(kind > 0, int(self.number * self.share)) for kind in kinds]
        left = [self.number - int(taken.sum()) for taken in positive]
        return positive, [_evenly(kind == 0, number) for kind, number in zip(kinds, left, strict=True)]


def _evenly(candidates: Tensor, number: int) -> Tensor:
    """At most so many of the candidates (N,) bool: uint8 (N,), 1 where taken."""
    found = candidates.nonzero().squeeze(1)
    number = min(number, len(found))
    taken = found[torch.arange(number, device=found.device) * len(found) // max(number, 1)]
    return torch.zeros_like(candidates, dtype=torch.uint8).index_fill(0, taken, 1)


@torch.no_grad()
def samples(heads: RoIHeads, proposals: list[Tensor], target: RegionBoxes) -> Samples:
    """Those of the proposals (N_i, 4) and the regions' own boxes that are learned from.

    Proposals of which most is void are left out. Waits for the device, as torchvision does.
    """
    pairs = zip(proposals, target.region, strict=True)
    known = [boxes[labelled_share(boxes, region > 0) >= 0.5] for boxes, region in pairs]
    objects = [target.objects(image) for image in range(len(known))]
    boxes, index, kinds, deltas = heads.select_training_samples(known, objects)
    return Samples(boxes, kinds, list(deltas), _ids(objects, index))


def matched(heads: RoIHeads, boxes: list[Tensor], truth: RegionBoxes) -> Samples:
    """The boxes (N_i, 4) of each image with the regions that torchvision matches them with."""
    objects = [truth.objects(image, each.dtype) for image, each in enumerate(boxes)]
    theirs = [each["boxes"] for each in objects]
    index, kinds = heads.assign_targets_to_proposals(boxes, theirs, [each["labels"] for each in objects])
    # an image without regions has a box after all, which an index can refer to
    own = [F.pad(each, (0, 0, 0, 1))[i] for each, i in zip(theirs, index, strict=True)]
    return Samples(boxes, kinds, list(heads.box_coder.encode(own, boxes)), _ids(objects, index))


def _ids(objects: list[dict[str, Tensor]], index: list[Tensor]) -> list[Tensor]:
    """The region ids at these indices (N_i,), 0 where an image has no region."""
    return [F.pad(each["masks"], (0, 1))[i] for each, i in zip(objects, index, strict=True)]


def mask_targets(region: Tensor, ids: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
    """For each cell of R boxes the share of its labelled part that is of the region, and that of this part.

    Where all is labelled, the first is torchvision's target.

    Args:
        region: Region ids (B, H, W), 0 where unlabelled.
        ids: The region of each box (N_i,), for each image.
        boxes: The boxes (N_i, 4), for each image.

    Returns:
        Two tensors (R, 28, 28).
    """
    shares = []
    parts = []
    for image, own, box in zip(region, ids, boxes, strict=True):
        different, number = torch.unique(own, return_inverse=True)
        shares.append(_pooled(image == different.view(-1, 1, 1), number, box))
        parts.append(_pooled((image > 0).unsqueeze(0), torch.zeros_like(number), box))
    part = torch.cat(parts)
    return (torch.cat(shares) / part.clamp_min(1e-6)).clamp_max(1), part


def _pooled(masks: Tensor, number: Tensor, boxes: Tensor) -> Tensor:
    """The share of each cell of boxes (N, 4) in those masks (K, H, W) whose numbers (N,) are given."""
    rois = torch.cat([number.unsqueeze(1).to(boxes), boxes], 1)
    pooled: Tensor = roi_align(masks.unsqueeze(1).to(boxes), rois, MASK)
    return pooled.squeeze(1)
