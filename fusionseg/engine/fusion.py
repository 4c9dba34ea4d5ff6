"""Semantic classes and regions joined to one answer: the region vote and the panoptic map."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fusionseg.sample import OFFSET, VOID


def region_vote(semantic: Tensor, region: Tensor, num_classes: int) -> Tensor:
    """Classes (B, H, W) after every region has taken the class that most of its pixels have.

    Of equally frequent classes the smaller id wins. `VOID` pixels do not vote, but they take the class of their region;
    a region of nothing else stays void. Pixels of region 0 keep their class. Synchronizes with the device.

    Args:
        semantic: Class ids (B, H, W) in [0, num_classes), or `VOID`; int64.
        region: Region ids (B, H, W), arbitrary per image, 0 where there is no region; int64.
        num_classes: Number of classes.

    Raises:
        ValueError: If the maps differ in shape, a class is outside of its range or a region is negative.
    """
    _check(semantic, region, num_classes)
    void, options = num_classes, num_classes + 1
    label = torch.where(semantic == VOID, void, semantic)
    ballots, box, votes = torch.unique(
        _per_image(region) * options + label, return_inverse=True, return_counts=True
    )
    choice = ballots % options
    _, owner = torch.unique_consecutive(ballots // options, return_inverse=True)
    # More votes rank higher, then the smaller class does; void ranks last because its votes are not counted.
    rank = votes * (choice != void) * options + void - choice
    best = torch.zeros_like(rank).scatter_reduce(0, owner, rank, "amax")
    winner = void - best % options
    voted = torch.where(winner == void, VOID, winner)[owner][box]
    return torch.where(region > 0, voted, semantic)


def panoptic(
    semantic: Tensor,
    region: Tensor,
    things: Sequence[int],
    num_classes: int,
    *,
    thing_area: int = 0,
    stuff_area: int = 0,
) -> Tensor:
    """Panoptic ids (B, H, W): class * `OFFSET` + instance, -1 where void (arXiv:1911.10194, section 3.4).

    A stuff class is one segment, instance 0. Pixels of things are grouped by their region: each group takes the thing
    class that most of its thing pixels have (see `region_vote`) and the region's id as instance; a thing pixel
    without a region becomes void.

    Args:
        semantic: Class ids (B, H, W) in [0, num_classes), or `VOID`; int64.
        region: Region ids (B, H, W) in [0, 65535], 0 where there is no region; int64.
        things: Ids of the thing classes.
        num_classes: Number of classes.
        thing_area: Things of fewer pixels become void.
        stuff_area: Stuff segments of fewer pixels become void; usual are 4096 (64 * 64) on COCO, 2048 on Cityscapes.

    Raises:
        ValueError: If the maps differ in shape or an id is outside of its range.
    """
    if region.numel() and int(region.max()) >= OFFSET:
        raise ValueError(
            f"expected region ids in [0, {OFFSET - 1}], found {int(region.max())}: "
            "number the regions of each image from 1"
        )
    thing = torch.isin(semantic, torch.tensor(things, dtype=semantic.dtype, device=semantic.device))
    grouped = thing & (region > 0)
    owned = torch.where(grouped, region, 0)
    voted = region_vote(semantic, owned, num_classes)
    ids = torch.where((thing & ~grouped) | (semantic == VOID), -1, voted * OFFSET + owned)
    if thing_area <= 0 and stuff_area <= 0:
        return ids
    _, segment, area = torch.unique(_per_image(ids + 1), return_inverse=True, return_counts=True)
    return torch.where(area[segment] < torch.where(thing, thing_area, stuff_area), -1, ids)


def _per_image(ids: Tensor) -> Tensor:
    """Ids (B, H, W), at least 0, that no two images share."""
    if not ids.numel():
        return ids
    image = torch.arange(len(ids), device=ids.device).view(-1, 1, 1)
    return image * (ids.max() + 1) + ids


def _check(semantic: Tensor, region: Tensor, num_classes: int) -> None:
    if semantic.ndim != 3 or semantic.shape != region.shape:
        raise ValueError(
            "expected class and region ids of one shape (B, H, W), "
            f"found {tuple(semantic.shape)} and {tuple(region.shape)}: resize them to the same size first"
        )
    strange = semantic[(semantic < 0) | ((semantic >= num_classes) & (semantic != VOID))]
    if strange.numel():
        raise ValueError(
            f"expected class ids in [0, {num_classes - 1}] or {VOID} for void, "
            f"found {sorted(set(strange.tolist()))[:5]}: "
            "pass labels, not logits, and the number of classes of their data set"
        )
    if region.numel() and int(region.min()) < 0:
        raise ValueError(
            f"expected region ids of at least 0, found {int(region.min())}: 0 stands for no region"
        )
