"""Regions as the targets of queries: at most N masks with their classes, and how they fill an output's cells.

All are computed on the label maps' device without synchronizing, so no shape depends on the data.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fusionseg.sample import OFFSET, VOID


class QueryTarget(NamedTuple):
    """The N largest regions of each image.

    Args:
        slot: The number of every pixel's region (B, H, W) int64: 1 is the largest, 0 unlabelled, and N + 1
            stands for all regions that are smaller than the N largest.
        classes: The class of each of the N regions (B, N) int64, `VOID` where unknown.
        number: The number of regions (B,) int64, which may be more than N.
    """

    slot: Tensor
    classes: Tensor
    number: Tensor


def query_target(
    region: Tensor, slots: int, semantic: Tensor | None = None, num_classes: int = 1
) -> QueryTarget:
    """The target of N queries.

    Args:
        region: Region ids (B, H, W) in [0, 65536), 0 where unlabelled.
        slots: N, at most 65535.
        semantic: Class ids (B, H, W), `VOID` where unlabelled; all classes are unknown without them.
        num_classes: The number of classes.
    """
    ids = region.flatten(1)
    sizes = ids.new_zeros(len(ids), OFFSET).scatter_add_(1, ids, torch.ones_like(ids))
    sizes[:, 0] = 0
    exists = sizes > 0
    # Of equal sizes the smaller id comes first, on every device.
    order = sizes * OFFSET - torch.arange(OFFSET, device=ids.device)
    largest = order.topk(slots).indices
    numbers = torch.arange(1, slots + 1, device=ids.device).where(exists.gather(1, largest), 0)
    slot_of = (exists * (slots + 1)).scatter_(1, largest, numbers)
    slot = slot_of.gather(1, ids).view_as(region)
    if semantic is None:
        classes = torch.full_like(largest, VOID)
    else:
        classes = _majority(slot, slots, semantic, num_classes)
    return QueryTarget(slot, classes, exists.sum(1))


def cells(slot: Tensor, slots: int, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """How many pixels of each region the cells of an output stand for, and how many labelled pixels.

    These are (B, N, h * w) and (B, h * w) float32. A cell stands for the pixels of the label map within it,
    16 of them where the output has a quarter of its height and width.

    Args:
        slot: The number of every pixel's region (B, H, W), as in `QueryTarget`.
        slots: N.
        size: Height and width of the output (h, w).
    """
    batch, *full = slot.shape
    rows, columns = (
        torch.arange(have, device=slot.device) * want // have for have, want in zip(full, size, strict=True)
    )
    cell = rows[:, None] * size[1] + columns
    place = (slot * (size[0] * size[1]) + cell).flatten(1)
    counts = torch.zeros(batch, (slots + 2) * size[0] * size[1], device=slot.device)
    # Sums of ones do not depend on the order of their terms.
    counts = counts.scatter_add_(1, place, torch.ones_like(place, dtype=counts.dtype))
    counts = counts.view(batch, slots + 2, -1)
    return counts[:, 1:-1], counts[:, 1:].sum(1)


def _majority(slot: Tensor, slots: int, semantic: Tensor, num_classes: int) -> Tensor:
    """The most frequent class of each of N regions (B, N), the smallest among equals, `VOID` without any."""
    options = num_classes + 1
    pair = (slot * options + semantic.clamp_max(num_classes)).flatten(1)
    votes = pair.new_zeros(len(pair), (slots + 2) * options).scatter_add_(1, pair, torch.ones_like(pair))
    votes = votes.view(len(pair), slots + 2, options)[:, 1:-1, :-1]
    ranks = votes * options - torch.arange(num_classes, device=pair.device)
    majority: Tensor = ranks.argmax(2).where(votes.any(2), VOID)
    return majority
