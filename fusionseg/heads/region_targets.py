"""Boundaries, centers and offsets of region maps (B, H, W) int64, where 0 is unlabelled.

All are computed on the maps' device without synchronizing, so no shape depends on the data.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fusionseg.sample import Array

_FEW = 200
"""With more centers than this in an image, a CPU is faster with all pixels at a time."""


def boundaries(region: Tensor, width: int = 2) -> Tensor:
    """The boundaries between regions, bool (B, H, W).

    They are the labelled pixels with a labelled 4-neighbor of another region. Both sides belong to the
    boundary, which is therefore two pixels thick. There is none towards unlabelled pixels.

    Args:
        region: Region ids (B, H, W), 0 where unlabelled.
        width: Thickness in pixels, even; every two more add a pixel on each side, diagonals included.

    Raises:
        ValueError: If `width` is not a positive even number.
    """
    if width < 2 or width % 2:
        raise ValueError(
            f"a boundary has two sides of equal thickness: expected width 2, 4, 6 ..., found {width}"
        )
    labelled = region > 0
    rows = (region[:, 1:] != region[:, :-1]) & labelled[:, 1:] & labelled[:, :-1]
    columns = (region[..., 1:] != region[..., :-1]) & labelled[..., 1:] & labelled[..., :-1]
    touching = F.pad(rows, (0, 0, 0, 1)) | F.pad(rows, (0, 0, 1, 0))
    touching |= F.pad(columns, (0, 1)) | F.pad(columns, (1, 0))
    if width == 2:
        return touching
    thick = F.max_pool2d(touching.unsqueeze(1).float(), width - 1, stride=1, padding=width // 2 - 1)
    return (thick.squeeze(1) > 0) & labelled


def centroids(region: Tensor, num_regions: int = 65536) -> tuple[Tensor, Tensor]:
    """The mean row and column of every region, float32 (B, N, 2), and its number of pixels, int64 (B, N).

    The index in N is the region id. Ids that do not occur, and 0, have no pixels and the center (0, 0).

    Args:
        region: Region ids (B, H, W) in [0, N).
        num_regions: N, an upper bound that does not depend on the data.
    """
    batch, height, width = region.shape
    pixels = torch.arange(height * width, device=region.device)
    # integer sums do not depend on the order of their terms, so the targets are the same on every device
    terms = torch.ones_like(pixels), pixels // width, pixels % width
    sums = torch.zeros(3, batch, num_regions, dtype=torch.long, device=region.device)
    for image, ids in enumerate(region.flatten(1)):
        for total, values in zip(sums, terms, strict=True):
            total[image].scatter_add_(0, ids, values)
    sums[..., 0] = 0
    counts = sums[0]
    centers = sums[1:] / counts.clamp_min(1)
    return centers.permute(1, 2, 0).float(), counts


def center_offsets(region: Tensor, centers: Tensor) -> Tensor:
    """The offset from every pixel to its region's center, float32 (B, 2, H, W): down, then right, in pixels.

    It is 0 where unlabelled (Panoptic-DeepLab, arXiv:1911.10194, sec. 3).

    Args:
        region: Region ids (B, H, W) in [0, N).
        centers: The centers of the regions (B, N, 2), as `centroids` gives them.
    """
    _, height, width = region.shape
    offsets = torch.stack(
        [torch.stack([axis[ids] for axis in table.T]) for table, ids in zip(centers, region, strict=True)]
    )
    offsets[:, 0] -= torch.arange(height, device=region.device).unsqueeze(1)
    offsets[:, 1] -= torch.arange(width, device=region.device)
    return offsets.masked_fill_((region == 0).unsqueeze(1), 0)


def center_heatmap(size: tuple[int, int], centers: Tensor, counts: Tensor, sigma: float = 8.0) -> Tensor:
    """The heatmap of region centers, float32 (B, 1, H, W).

    It is exp(-d^2 / (2 sigma^2)) at a distance of d pixels from the nearest center. Centers are rounded to
    whole pixels. Beyond three sigma in height or width the heat is exactly 0 (Panoptic-DeepLab,
    arXiv:1911.10194, sec. 3).

    Args:
        size: Height H and width W.
        centers: The centers of the regions (B, N, 2), as `centroids` gives them.
        counts: Their numbers of pixels (B, N), 0 for ids that do not occur.
        sigma: Standard deviation of the Gaussian, in pixels.

    Raises:
        ValueError: If `sigma` is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, found {sigma}")
    reach = math.floor(3 * sigma)
    far = 2 * reach**2 + 1
    places = centers.round().long()
    if centers.device.type == "cpu" and np.count_nonzero(counts.numpy()) <= _FEW * len(counts):
        squares = torch.from_numpy(_stamped(size, places.numpy(), counts.numpy(), reach))
    else:
        squares = _spread(size, places, counts, reach)
    return (squares.unsqueeze(1) / (-2 * sigma**2)).exp_().masked_fill_(squares.unsqueeze(1) == far, 0)


def _stamped(size: tuple[int, int], places: Array, counts: Array, reach: int) -> Array:
    """As `_spread`, center by center: faster where there are few."""
    far = 2 * reach**2 + 1
    squares = np.full((len(places), *size), far, np.min_scalar_type(-2 * far))
    steps = np.arange(-reach, reach + 1) ** 2
    stamp = (steps[:, None] + steps).astype(squares.dtype)
    for image, region in zip(*np.nonzero(counts), strict=True):
        row, column = places[image, region]
        top, left = max(row - reach, 0), max(column - reach, 0)
        window = squares[image, top : row + reach + 1, left : column + reach + 1]
        height, width = window.shape
        part = stamp[top - row + reach :, left - column + reach :][:height, :width]
        np.minimum(window, part, out=window)
    return squares


def _spread(size: tuple[int, int], places: Tensor, counts: Tensor, reach: int) -> Tensor:
    """The squared distance from every pixel to the nearest center, of whole numbers (B, H, W).

    It is 2 * reach^2 + 1 where there is none within the reach in height and width.

    Args:
        size: Height H and width W.
        places: The pixels of the centers (B, N, 2).
        counts: Their numbers of pixels (B, N), 0 for ids that do not occur.
        reach: How far it is looked for.
    """
    height, width = size
    rows, columns = places.unbind(-1)
    # ids that do not occur are written to one extra pixel, which is cut off
    pixels = (rows * width + columns).where(counts > 0, height * width)
    far = 2 * reach**2 + 1
    squares = torch.full((len(places), height * width + 1), far, dtype=_dtype(2 * far), device=places.device)
    squares = squares.scatter_(1, pixels, 0)[:, :-1].reshape(-1, height, width)
    for axis in (1, 2):
        lower_by_squares(squares, axis, reach)
    return squares


def _dtype(largest: int) -> torch.dtype:
    """The smallest of the integer types of 16, 32 and 64 bits that hold a number: the fewer, the faster."""
    return next(kind for kind in (torch.int16, torch.int32, torch.int64) if largest <= torch.iinfo(kind).max)


def lower_by_squares(values: Tensor, axis: int, reach: int) -> None:
    """Lowers all integers to the least v + n^2 among the values v that are n <= `reach` away on the axis.

    Along two axes in turn, that turns a map of large numbers into squares of the distance to its zeros. It is
    exact because the first n odd numbers add up to n^2.
    """
    for step in range(1, reach + 1):
        lower(values, axis, 1, 2 * step - 1)


def lower(values: Tensor, axis: int, step: int, cost: int) -> None:
    """Lowers all values to those a step before and behind on the axis plus a cost, if these are less."""
    size = values.shape[axis] - step
    if size <= 0:
        return
    raised = values + cost
    for destination, source in ((step, 0), (0, step)):
        part = values.narrow(axis, destination, size)
        torch.minimum(part, raised.narrow(axis, source, size), out=part)
