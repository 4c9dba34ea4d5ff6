"""Surfaces with exact depth, disparity and normals for the tests of heads."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fusionseg.heads.limits import warn_of_limit
from fusionseg.sample import Sample


def surfaces(number: int, size: tuple[int, int]) -> Sample:
    """A ball in front of a tilted wall, seen by parallel rays: depth, disparity (B, H, W), normals (B, 3, H, W).

    The disparity is 40 / depth. One unit of length is the image's height. The pixels of a block are invalid.
    """
    height, width = size
    rows = torch.arange(height) / height
    columns = torch.arange(width) / height
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    depths = []
    normals = []
    for i in range(number):
        wall, wall_normal = _wall(x, y, slope=(0.5 + 0.2 * i, -0.8))
        ball, ball_normal, inside = _ball(x, y, center=(0.5 + 0.1 * i, 0.5), radius=0.35)
        depth = torch.where(inside, ball, wall)
        normal = torch.where(inside, ball_normal, wall_normal)
        depth[: height // 8, : width // 4] = 0
        normal[:, : height // 8, : width // 4] = 0
        depths.append(depth)
        normals.append(normal)
    depth = torch.stack(depths)
    disparity = (40 / depth).where(depth > 0, 0)
    return {"depth": depth, "disparity": disparity, "normals": torch.stack(normals)}


def _wall(x: Tensor, y: Tensor, slope: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Depth and normal of the plane z = 4 + slope . (x, y)."""
    normal = torch.tensor([slope[0], slope[1], -1.0])
    return 4 + slope[0] * x + slope[1] * y, (normal / normal.norm()).view(3, 1, 1).expand(3, *x.shape)


def _ball(x: Tensor, y: Tensor, center: tuple[float, float], radius: float) -> tuple[Tensor, Tensor, Tensor]:
    """Depth and normal of the near side of a ball at z = 3, and where it is seen."""
    right = (x - center[0]) / radius
    down = (y - center[1]) / radius
    square = 1 - right**2 - down**2
    toward = square.clamp_min(0).sqrt()
    return 3 - radius * toward, torch.stack([right, down, -toward]), square > 0


@pytest.fixture
def scenes(scenes: Callable[..., Sample]) -> Callable[..., Sample]:
    """Batches of synthetic scenes with the depth, disparity and normals of other surfaces."""

    def batch(number: int = 2, size: tuple[int, int] = (64, 96)) -> Sample:
        return scenes(number, size) | surfaces(number, size)

    return batch


@pytest.fixture(autouse=True)
def nothing_reported() -> None:
    """Limits that other tests reached are reported again."""
    warn_of_limit.cache_clear()
