"""Region maps from detected regions: boxes, and small masks within them."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusionseg.heads.region_decoding import filled
from fusionseg.heads.region_rois import Detections
from fusionseg.sample import Frame

Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def region_maps(found: Detections, frame: Frame, threshold: float, gap: int) -> Tensor:
    """The region ids (B, H, W) int64 from 1 of what was found in a batch; pasted on the CPU.

    Args:
        found: The regions that were found.
        frame: The sizes of the network's input and of the map.
        threshold: Smallest probability of a region.
        gap: See `pasted`.
    """
    rows, columns = (size / valid for size, valid in zip(frame.size, frame.valid, strict=True))
    boxes, scores, masks = (each.float().cpu().numpy() for each in found)
    boxes = boxes * np.array([columns, rows, columns, rows], np.float32)
    maps = [
        pasted(box[score > threshold], mask[score > threshold], frame.size, gap)
        for box, score, mask in zip(boxes, scores, masks, strict=True)
    ]
    return torch.from_numpy(np.stack(maps).astype(np.int64)).to(found.boxes.device)


def pasted(boxes: Floats, masks: Floats, size: tuple[int, int], gap: int, overlap: float = 0.5) -> Numbers:
    """The region map (H, W) from 1 of detected regions, the likeliest first; all 1 where there is none.

    A pixel is of the region of which it most likely is, and that is at least as likely as not. What is
    farther than `gap` from all regions begins one of its own, and each pixel that is left is of the nearest.

    Args:
        boxes: Left, top, right and bottom edges (N, 4) in pixels.
        masks: The probability of each cell of a box to be of its region (N, h, w).
        size: Height and width of the map.
        gap: Distance in pixels.
        overlap: Regions of which a larger share lies in those before are left out: they are seen twice.
    """
    region = np.zeros(size, np.int32)
    best = np.zeros(size, np.float32)
    number = 0
    for box, mask in zip(boxes, masks, strict=True):
        inside = covered(box, size)
        chance = enlarged(mask, box, inside)
        own = chance >= 0.5
        taken = own & (region[inside] > 0)
        if np.count_nonzero(taken) > overlap * np.count_nonzero(own):
            continue
        number += 1
        won = own & ((region[inside] == 0) | (chance > best[inside]))
        region[inside][won] = number
        best[inside][won] = chance[won]
    return filled(region + new_regions(region == 0, gap, number))


def covered(box: Floats, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a map of this height and width whose centers lie in a box (4,)."""
    first = np.ceil(box[1::-1] - 0.5).clip(0, size).astype(int)
    last = np.ceil(box[:1:-1] - 0.5).clip(first, size).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1])


def enlarged(mask: Floats, box: Floats, inside: tuple[slice, slice]) -> Floats:
    """The mask (h, w) of a box (4,) at these rows and columns: bilinear, constant at the edge."""
    rows, columns = inside
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    if not all(shape):
        return np.zeros(shape[::-1], np.float32)
    scale = mask.shape[::-1] / (box[2:] - box[:2])
    offset = (np.array([columns.start, rows.start]) + 0.5 - box[:2]) * scale - 0.5
    transform = np.column_stack([np.diag(scale), offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask, transform, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def new_regions(empty: npt.NDArray[np.bool_], gap: int, first: int) -> Numbers:
    """The components of what is empty and farther than `gap` from all else, numbered after `first`."""
    far = empty
    if not empty.all():
        far = cv2.distanceTransform(empty.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) > gap
    _, labels = cv2.connectedComponents(far.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return np.where(far, labels + first, 0).astype(np.int32)
