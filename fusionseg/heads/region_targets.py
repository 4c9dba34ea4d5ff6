"""Boundaries, centers and offsets of region maps (B, H, W) int64, where 0 is unlabelled.

All are computed on the maps' device without synchronizing, so no shape depends on the data.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


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
    slots = _slots(region, num_regions)
    # Integer sums do not depend on the order of their terms, so the targets are the same on every device.
    labelled = (region > 0).long()
    rows = torch.arange(height, device=region.device).unsqueeze(1) * labelled
    columns = torch.arange(width, device=region.device) * labelled
    sums = torch.zeros(3, batch * num_regions, dtype=torch.long, device=region.device)
    for total, values in zip(sums, (labelled, rows, columns), strict=True):
        total.scatter_add_(0, slots, values.flatten())
    counts = sums[0].view(batch, num_regions)
    centers = sums[1:] / sums[0].clamp_min(1)
    return centers.T.reshape(batch, num_regions, 2).float(), counts


def center_offsets(region: Tensor, num_regions: int = 65536) -> Tensor:
    """The offset from every pixel to its region's center, float32 (B, 2, H, W): down, then right, in pixels.

    It is 0 where unlabelled (Panoptic-DeepLab, arXiv:1911.10194, sec. 3).

    Args:
        region: Region ids (B, H, W) in [0, N).
        num_regions: N, see `centroids`.
    """
    batch, height, width = region.shape
    centers, _ = centroids(region, num_regions)
    own_centers = centers.flatten(0, 1)[_slots(region, num_regions)].view(batch, height, width, 2)
    rows = torch.arange(height, device=region.device).view(1, -1, 1).expand_as(region)
    columns = torch.arange(width, device=region.device).expand_as(region)
    offsets = own_centers.permute(0, 3, 1, 2) - torch.stack([rows, columns], dim=1)
    return offsets.where((region > 0).unsqueeze(1), 0)


def center_heatmap(region: Tensor, sigma: float = 8.0, num_regions: int = 65536) -> Tensor:
    """The heatmap of region centers, float32 (B, 1, H, W).

    It is exp(-d^2 / (2 sigma^2)) at a distance of d pixels from the nearest center. Centers are rounded to
    whole pixels. Beyond three sigma in height or width the heat is exactly 0 (Panoptic-DeepLab,
    arXiv:1911.10194, sec. 3).

    Args:
        region: Region ids (B, H, W) in [0, N).
        sigma: Standard deviation of the Gaussian, in pixels.
        num_regions: N, see `centroids`.

    Raises:
        ValueError: If `sigma` is not positive.
    """
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, found {sigma}")
    batch, height, width = region.shape
    centers, counts = centroids(region, num_regions)
    rows, columns = centers.round().long().unbind(-1)
    # Ids that do not occur are written to one extra pixel, which is cut off.
    pixels = (rows * width + columns).where(counts > 0, height * width)
    heat = torch.zeros(batch, height * width + 1, device=region.device).scatter_(1, pixels, 1.0)[:, :-1]
    heat = heat.reshape(batch, 1, height, width)
    # A Gaussian is the product of a row's and a column's Gaussian, so taking the maximum along one axis at a
    # time is exact.
    return _spread(_spread(heat, 3, sigma), 2, sigma)


def _slots(region: Tensor, num_regions: int) -> Tensor:
    """Every pixel's flat index (B * H * W,) into a table (B, N) by image and region id."""
    firsts = torch.arange(len(region), device=region.device) * num_regions
    return (region + firsts.view(-1, 1, 1)).flatten()


def _spread(heat: Tensor, axis: int, sigma: float) -> Tensor:
    """The maximum around every pixel along an axis, weighted by a Gaussian up to three sigma."""
    spread = heat.clone()
    size = heat.shape[axis]
    for step in range(1, min(math.floor(3 * sigma), size - 1) + 1):
        weighted = heat * math.exp(-(step**2) / (2 * sigma**2))
        for destination, source in ((step, 0), (0, step)):
            part = spread.narrow(axis, destination, size - step)
            torch.maximum(part, weighted.narrow(axis, source, size - step), out=part)
    return spread
