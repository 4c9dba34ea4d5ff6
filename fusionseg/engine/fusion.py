"""Fuses semantic classes with regions: the majority vote within regions, and panoptic maps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.config.remedies import FEWER_REGIONS
from fusionseg.sample import OFFSET, VOID


def region_vote(semantic: Tensor, region: Tensor, num_classes: int) -> Tensor:
    """Class ids (B, H, W) in which every region has the class of the majority of its pixels.

    Of equally frequent classes the smaller id wins. `VOID` pixels do not vote, but take the class of their
    region; a region of void pixels alone stays void. Pixels of region 0 keep their class. Synchronizes with
    the device.

    >>> semantic = torch.tensor([[[1, 1, 2, 0]]])
    >>> region_vote(semantic, torch.tensor([[[5, 5, 5, 0]]]), num_classes=3)
    tensor([[[1, 1, 1, 0]]])

    Args:
        semantic: Class ids (B, H, W) in [0, num_classes), or `VOID`; int64.
        region: Region ids (B, H, W), arbitrary within an image, 0 where there is no region; int64.
        num_classes: Number of classes.

    Raises:
        ValueError: If the maps differ in shape, a class id is out of range or a region id is negative.
    """
    _check(semantic, region, num_classes)
    void = num_classes
    label = torch.where(semantic == VOID, void, semantic)
    regions = _unique_across_images(_small(region))
    number = int(regions.max()) + 1 if regions.numel() else 0
    votes = torch.bincount((regions * (void + 1) + label).flatten(), minlength=number * (void + 1))
    votes = votes.view(number, void + 1)[:, :void]
    # more votes rank higher, then the smaller class
    smaller = torch.arange(void, 0, -1, device=votes.device)
    winner = torch.where(votes.any(1), (votes * (void + 1) + smaller).argmax(1), VOID)
    return torch.where(region > 0, winner[regions], semantic)


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

    A stuff class is a single segment, instance 0. Pixels of thing classes are grouped by region: the instance
    is the id of the region, the class that of the majority of its thing pixels (see `region_vote`). Thing
    pixels without a region become void.

    >>> semantic = torch.tensor([[[0, 0, 1, 1]]])
    >>> panoptic(semantic, torch.tensor([[[3, 3, 4, 0]]]), things=[1], num_classes=2)
    tensor([[[    0,     0, 65540,    -1]]])

    Args:
        semantic: Class ids (B, H, W) in [0, num_classes), or `VOID`; int64.
        region: Region ids (B, H, W) in [0, 65535], 0 where there is no region; int64.
        things: Ids of the thing classes.
        num_classes: Number of classes.
        thing_area: Thing segments of fewer pixels become void.
        stuff_area: Stuff segments of fewer pixels become void; common are 4096 (64 * 64) on COCO, 2048 on
            Cityscapes.

    Raises:
        ValueError: If the maps differ in shape or an id is out of range.
    """
    _check_offset(region)
    thing = torch.isin(semantic, torch.tensor(things, dtype=semantic.dtype, device=semantic.device))
    grouped = thing & (region > 0)
    instance = torch.where(grouped, region, 0)
    voted = region_vote(semantic, instance, num_classes)
    void = (thing & ~grouped) | (semantic == VOID)
    ids = torch.where(void, -1, voted * OFFSET + instance)
    if thing_area <= 0 and stuff_area <= 0:
        return ids
    return torch.where(_areas(ids) < torch.where(thing, thing_area, stuff_area), -1, ids)


def _areas(ids: Tensor) -> Tensor:
    """The number of pixels of the segment of each pixel (B, H, W), for ids (B, H, W) of at least -1."""
    _, segment, area = torch.unique(_unique_across_images(ids + 1), return_inverse=True, return_counts=True)
    areas: Tensor = area[segment]
    return areas


def _small(ids: Tensor) -> Tensor:
    """The ids, or others that distinguish as many where these are too large to count by."""
    if not ids.numel() or int(ids.max()) < OFFSET:
        return ids
    _, small = torch.unique(ids, return_inverse=True)
    numbers: Tensor = small
    return numbers


def _unique_across_images(ids: Tensor) -> Tensor:
    """Ids (B, H, W) of at least 0, shifted so that no two images share one."""
    if not ids.numel():
        return ids
    image = torch.arange(len(ids), device=ids.device).view(-1, 1, 1)
    return image * (ids.max() + 1) + ids


def _check_offset(region: Tensor) -> None:
    """Raises a UserError if a region id is too large for a panoptic id."""
    if region.numel() and int(region.max()) >= OFFSET:
        raise UserError(
            f"expected region ids in [0, {OFFSET - 1}], found {int(region.max())}: {FEWER_REGIONS}"
        )


def _check(semantic: Tensor, region: Tensor, num_classes: int) -> None:
    """Raises a ValueError unless both maps have the same shape (B, H, W) and valid ids."""
    if semantic.ndim != 3 or semantic.shape != region.shape:
        raise ValueError(
            "expected class and region ids of one shape (B, H, W), "
            f"found {tuple(semantic.shape)} and {tuple(region.shape)}: resize them to the same size first"
        )
    invalid = semantic[(semantic < 0) | ((semantic >= num_classes) & (semantic != VOID))]
    if invalid.numel():
        raise ValueError(
            f"expected class ids in [0, {num_classes - 1}] or {VOID} for void, "
            f"found {sorted(set(invalid.tolist()))[:5]}: "
            "pass labels, not logits, and the number of classes of their data set"
        )
    if region.numel() and int(region.min()) < 0:
        raise ValueError(
            f"expected region ids of at least 0, found {int(region.min())}: 0 stands for no region"
        )
