"""Region maps from network outputs: grouping by centers, and watersheds by boundaries and by distances."""

import math
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.heads.limits import warn_of_limit
from fusionseg.sample import OFFSET, Array

Label = TypeVar("Label", bound=np.integer)

_DISTANCES = {"cpu": 2**20}
"""Number of distances that are computed at a time: so many fit into a CPU's cache; 2^26 on other devices."""

_CELL = 8
"""Side of the squares, in pixels, in which one center may be the nearest one of all points."""

_MANY = 200
"""With more centers than this, a CPU is faster with a tree than with all distances."""


def filled(region: npt.NDArray[Label]) -> npt.NDArray[Label]:
    """The region map (H, W) with every 0 replaced by the nearest region; all 1 if there is no region.

    Nearest in OpenCV's 5 x 5 chamfer metric, which is within 2 % of the Euclidean distance.

    Args:
        region: Region ids (H, W), 0 where unlabelled.
    """
    empty = region == 0
    if empty.all():
        return np.ones_like(region)
    if not empty.any():
        return region.copy()
    _, nearest = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the labelled pixels from 1 in the order in which a mask picks them out.
    regions: npt.NDArray[Label] = region[~empty][nearest - 1]
    return regions


def check_grouping(kernel: int, max_centers: int) -> None:
    """Raises a ValueError unless `kernel` is odd and positive, and `max_centers` in 1..65535."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"a window needs a pixel in its middle: expected an odd kernel, found {kernel}")
    if not 0 < max_centers < OFFSET:
        raise ValueError(f"expected max_centers in 1..{OFFSET - 1}, found {max_centers}")


def group(
    heat: Tensor,
    offsets: Tensor,
    threshold: float = 0.1,
    kernel: int = 7,
    max_centers: int = OFFSET - 1,
) -> Tensor:
    """The region map, int64 (H, W), in which every pixel joins the center that it points at.

    The grouping of Panoptic-DeepLab (arXiv:1911.10194, eq. 1). Regions are numbered from 1 by falling heat of
    their centers; without any center all pixels are region 1.

    Args:
        heat: Heatmap of centers, (1, H, W) in [0, 1].
        offsets: From every pixel to its center, (2, H, W): down, then right, in pixels.
        threshold: Smallest heat of a center.
        kernel: A center is the most likely pixel in a window of this odd size, the first among equals.
        max_centers: At most this many centers are kept, the most likely ones, with a warning; by default
            as many as a region file can number.

    Raises:
        ValueError: If `kernel` is even or not positive, or `max_centers` not in 1..65535.
    """
    check_grouping(kernel, max_centers)
    heat = heat.float().nan_to_num()
    offsets = offsets.float()
    _, height, width = heat.shape
    order = torch.arange(height * width, 0, -1, device=heat.device, dtype=heat.dtype).view_as(heat)
    peaks = (heat >= threshold) & (heat == _window_maximum(heat, kernel))
    order = order.where(peaks, 0)
    peaks &= order == _window_maximum(order, kernel)
    found = peaks.flatten().nonzero().squeeze(1)
    if len(found) == 0:
        return torch.ones(height, width, dtype=torch.long, device=heat.device)
    if len(found) > max_centers:
        warn_of_limit("max_centers", max_centers)
    found = found[heat.flatten()[found].sort(descending=True, stable=True).indices[:max_centers]]
    # Coordinates from the middle of the image have smaller squares, which lose fewer digits.
    rows = torch.arange(height, device=heat.device).sub(height / 2).unsqueeze(1).expand(height, width)
    columns = torch.arange(width, device=heat.device).sub(width / 2).expand(height, width)
    grid = torch.stack([rows, columns]).flatten(1)
    return _nearest(grid + offsets.flatten(1), grid[:, found], (height, width)).view(height, width) + 1


def watershed(
    probability: npt.NDArray[np.floating], threshold: float = 0.5, min_area: int = 1
) -> npt.NDArray[np.int32]:
    """The region map, int32 (H, W) from 1, of the basins that boundaries enclose, grown until they meet.

    Basins are the 4-connected components of pixels without a likely boundary; without any, all pixels are
    region 1. Every other pixel joins the nearest basin. `cv2.watershed` floods by differences of the
    probability rather than by its height, so that one region takes a whole plateau; it was slower and
    reached less covering.

    Args:
        probability: Probability of a boundary, (H, W) in [0, 1].
        threshold: Pixels with a smaller probability belong to basins.
        min_area: Basins of fewer pixels are merged into their neighbors.
    """
    labels = connected(probability < threshold)
    return filled(numbered(labels, min_area))


def flooded(energy: Array, levels: Array, min_area: int) -> npt.NDArray[np.int32]:
    """The region map, int32 (H, W) from 1, of what is 8-connected at falling levels of the energy (H, W).

    A part without a region becomes one, and of several regions that meet in a part each takes what is nearest
    to it there.
    """
    labels = np.zeros(energy.shape, np.int32)
    pixels = np.arange(energy.size)
    seeds = pixels[:0]  # a pixel of each region
    for level in levels:
        above = (energy >= level).astype(np.uint8)
        number, parts, found, _ = cv2.connectedComponentsWithStats(above)
        regions = np.bincount(parts.flat[seeds], minlength=number)
        new = (regions == 0) & (found[:, cv2.CC_STAT_AREA] >= min_area)
        new[0] = False  # the pixels below the level
        if new.any():
            some = np.zeros(number, np.int64)
            some[parts.ravel()] = pixels
            seeds = np.append(seeds, some[new])
        owner = np.zeros(number, np.int32)
        owner[parts.flat[seeds]] = np.arange(1, len(seeds) + 1)
        before = labels
        labels = owner[parts]
        for part in np.flatnonzero(regions > 1):
            left, top, width, height = found[part, :4]
            box = np.s_[top : top + height, left : left + width]
            inside = parts[box] == part
            labels[box][inside] = filled(np.where(inside, before[box], 0))[inside]
    return filled(labels)


def connected(image: Array) -> npt.NDArray[np.int32]:
    """The 4-connected components of the pixels that are not 0, numbered from 1 by their first pixels."""
    _, labels = cv2.connectedComponents(image.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return np.asarray(labels, np.int32)


def numbered(labels: npt.NDArray[np.int32], min_area: float) -> npt.NDArray[np.int32]:
    """The labels (H, W), numbered anew from 1; 0 where they were 0 and for those of fewer pixels."""
    kept = np.bincount(labels.ravel()) >= min_area
    kept[0] = False
    return np.where(kept, kept.cumsum(), 0).astype(np.int32)[labels]


def _window_maximum(values: Tensor, kernel: int) -> Tensor:
    """The maximum of (1, H, W) over a square window around every pixel."""
    if values.device.type == "cpu":  # a twentieth of the time, or less
        image = np.ascontiguousarray(values[0].detach().numpy())
        return torch.from_numpy(cv2.dilate(image, np.ones((kernel, kernel), np.uint8))).unsqueeze(0)
    rows = F.max_pool2d(values.unsqueeze(0), (1, kernel), stride=1, padding=(0, kernel // 2))
    return F.max_pool2d(rows, (kernel, 1), stride=1, padding=(kernel // 2, 0)).squeeze(0)


def _nearest(points: Tensor, centers: Tensor, size: tuple[int, int]) -> Tensor:
    """The index (N,) of the nearest of `centers` (2, K) to each of `points` (2, N).

    Most points lie in a cell of the image, of a size (H, W) about the origin, in which one center is nearest
    everywhere.
    """
    if points.device.type == "cpu" and centers.shape[1] > _MANY:
        from scipy.spatial import KDTree  # which takes a while

        return torch.from_numpy(KDTree(centers.T.numpy()).query(points.nan_to_num().T.numpy())[1])
    height, width = (math.ceil(n / _CELL) for n in size)
    down, right = (axis.add(n / 2).div_(_CELL).floor_() for axis, n in zip(points, size, strict=True))
    inside = (down >= 0) & (down < height) & (right >= 0) & (right < width)
    cells = (down * width + right).where(inside, height * width).long()
    nearest = _nearest_to_cells(centers, size)[cells]
    unclear = (nearest < 0).nonzero().squeeze(1)
    nearest[unclear] = _nearest_of_all(points[:, unclear], centers)
    return nearest


def _nearest_to_cells(centers: Tensor, size: tuple[int, int]) -> Tensor:
    """The index of the center that is nearest to all points of a cell, for all cells and at last for outside.

    It is -1 where there is no such center.
    """
    cells = [torch.arange(math.ceil(n / _CELL), device=centers.device) for n in size]
    middles = [(cell + 0.5) * _CELL - n / 2 for cell, n in zip(cells, size, strict=True)]
    number = centers.shape[1]
    at_once = max(1, _DISTANCES.get(centers.device.type, 2**26) // (2 * number))
    parts = torch.split(torch.cartesian_prod(*middles).unsqueeze(2), at_once)
    found = [
        (part - centers).square_().sum(1).sqrt_().topk(min(2, number), dim=1, largest=False) for part in parts
    ]
    near, indices = (torch.cat(each) for each in zip(*found, strict=True))
    # a point is half a diagonal from the middle at most; a hundredth of a pixel is more than rounding
    clear = near[:, -1] - near[:, 0] > 2**0.5 * _CELL + 0.01
    if number == 1:
        clear[:] = True
    return F.pad(indices[:, 0].where(clear, -1), (0, 1), value=-1)


def _nearest_of_all(points: Tensor, centers: Tensor) -> Tensor:
    """As `_nearest`, from all distances."""
    # |p - c|^2 without |p|^2, which is the same for all centers. Not as a matrix product: under autocast or
    # TF32 it would round coordinates to whole pixels or worse.
    rows, columns = -2 * centers
    squares = centers.square().sum(0)
    parts = torch.split(
        points.T.contiguous(), max(1, _DISTANCES.get(points.device.type, 2**26) // len(squares))
    )
    return torch.cat([squares.addcmul(p[:, :1], rows).addcmul_(p[:, 1:], columns).argmin(1) for p in parts])
