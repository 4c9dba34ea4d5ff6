"""Boxes of regions, and the share of boxes that is labelled."""

from typing import NamedTuple

import torch
from torch import Tensor

from fusionseg.sample import OFFSET, VOID


class RegionBoxes(NamedTuple):
    """The regions of a batch and the boxes around them.

    Args:
        region: Region ids (B, H, W) int64, 0 where unlabelled.
        boxes: The box of each region id (B, 65536, 4) float32: left, top, right and bottom edge in pixels.
        kinds: The kind of each region id (B, 65536) int64: from 1, -1 if unknown, 0 where there is no region.
    """

    region: Tensor
    boxes: Tensor
    kinds: Tensor

    def objects(self, image: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The N regions of an image as torchvision's detectors expect them; waits for the device.

        Args:
            image: The number of the image.
            dtype: The precision of boxes.

        Returns:
            `boxes` (N, 4), `labels` (N,), the kinds, and `masks` (N,), which here are only the region ids.
        """
        ids = self.kinds[image].nonzero().squeeze(1)
        return {"boxes": self.boxes[image, ids].to(dtype), "labels": self.kinds[image, ids], "masks": ids}


def region_boxes(region: Tensor, semantic: Tensor | None = None) -> RegionBoxes:
    """The boxes of the regions of a batch.

    Args:
        region: Region ids (B, H, W) int64 in [0, 65536), 0 where unlabelled.
        semantic: Class ids (B, H, W) int64, `VOID` where unlabelled: the kind of a region is its class plus
            1, the largest one where there are several. Without it all regions are of kind 1.
    """
    _, height, width = region.shape
    rows = torch.arange(height, device=region.device, dtype=torch.float32).unsqueeze(1).expand_as(region)
    columns = torch.arange(width, device=region.device, dtype=torch.float32).expand_as(region)
    left, top, right, bottom = (
        _largest(values, region) for values in (width - columns, height - rows, columns + 1, rows + 1)
    )
    boxes = torch.stack([width - left, height - top, right, bottom], 2)
    occurs = right > 0
    if semantic is None:
        kinds = occurs.long()
    else:
        kinds = _largest(torch.where(semantic == VOID, 0, semantic + 1), region)
        kinds = torch.where(occurs & (kinds == 0), -1, kinds)
    kinds[:, 0] = 0
    return RegionBoxes(region, boxes, kinds)


def labelled_share(boxes: Tensor, labelled: Tensor) -> Tensor:
    """The share (N,) of each box's pixels in the image that is labelled; 1 for a box without any.

    Args:
        boxes: Left, top, right and bottom edges (N, 4), which are rounded to pixels.
        labelled: The labelled pixels (H, W) bool.
    """
    height, width = labelled.shape
    # the number of labelled pixels above and left of each corner
    sums = torch.zeros(height + 1, width + 1, dtype=torch.int32, device=labelled.device)
    sums[1:, 1:] = labelled.int().cumsum(0).cumsum(1)
    edges = boxes.round().long()
    left, right = edges[:, 0::2].clamp(0, width).unbind(1)
    top, bottom = edges[:, 1::2].clamp(0, height).unbind(1)
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    area = (right - left) * (bottom - top)
    return torch.where(area > 0, inside / area.clamp_min(1), 1)


def _largest(values: Tensor, region: Tensor) -> Tensor:
    """The largest of positive values (B, H, W) over each region id (B, 65536); 0 where there is none."""
    largest = values.new_zeros(len(region), OFFSET)
    return largest.scatter_reduce(1, region.flatten(1), values.flatten(1), "amax")
