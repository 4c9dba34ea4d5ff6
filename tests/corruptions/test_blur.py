"""Against SciPy's filters, and by what a kernel is."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from fusionseg.corruptions.blur import (
    RADII,
    SIGMAS,
    STREAKS,
    defocus_blur,
    disk,
    gaussian_blur,
    motion_blur,
    streak,
)


def image(size: tuple[int, int] = (224, 260)) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).random((*size, 3), np.float32)


@pytest.mark.parametrize(
    ("severity", "size"), [(1, (224, 230)), (3, (224, 230)), (5, (224, 230)), (2, (448, 300))]
)
def test_gaussian_blur_is_scipys_with_a_width_that_grows_with_the_image(
    severity: int, size: tuple[int, int]
) -> None:
    sigma = SIGMAS[severity - 1] * min(size) / 224
    expected = ndimage.gaussian_filter(
        image(size).astype(float), (sigma, sigma, 0), mode="nearest", truncate=4
    )
    assert np.abs(gaussian_blur(image(size), severity, 0) - expected).max() < 0.003


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_defocus_averages_over_a_disk(severity: int) -> None:
    radius = RADII[severity - 1]
    y, x = np.mgrid[-12:13, -12:13]
    # the disk of 25 points within each pixel
    offsets = np.linspace(-0.4, 0.4, 5)
    fine = [np.hypot(x + a, y + b) <= radius for a in offsets for b in offsets]
    expected_kernel = np.mean(fine, axis=0)
    expected = ndimage.correlate(
        image()[..., 1].astype(float), expected_kernel / expected_kernel.sum(), mode="nearest"
    )
    found = defocus_blur(image(), severity, 0)[..., 1]
    assert np.abs(found - expected).max() < 0.015
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.998


@pytest.mark.parametrize("radius", [0.01, 0.5, 3, 7.3])
def test_a_disk_has_the_area_and_the_reach_of_one(radius: float) -> None:
    kernel = disk(radius)
    assert kernel.sum() == pytest.approx(1)
    assert np.array_equal(kernel, kernel.T)
    assert np.array_equal(kernel, kernel[::-1])
    # all of one value but for the edge, so that the middle is one over the area
    assert 1 / kernel.max() == pytest.approx(np.pi * max(radius, 0.56) ** 2, rel=0.25)


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("degrees", [-45, -10, 0, 30])
def test_a_streak_is_half_a_gaussian_along_its_direction(severity: int, degrees: float) -> None:
    radius, sigma = STREAKS[severity - 1]
    kernel = streak(radius, sigma, np.radians(degrees))
    reach = len(kernel) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-9)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-9)
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    across = y * np.cos(np.radians(degrees)) - x * np.sin(np.radians(degrees))
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    variance = weights @ steps**2 - (weights @ steps) ** 2
    # linear interpolation adds up to a quarter along each axis
    assert variance - 1e-9 <= (kernel * along**2).sum() <= variance + 0.26
    assert (kernel * across**2).sum() <= 0.26


def test_motion_blur_leaves_things_where_they_are() -> None:
    point = np.zeros((225, 225, 3), np.float32)
    point[112, 112] = 1
    y, x = np.mgrid[:225, :225]
    for severity in range(1, 6):
        found = motion_blur(point, severity, severity)[..., 0].astype(float)
        assert (found * x).sum() / found.sum() == pytest.approx(112, abs=0.05)
        assert (found * y).sum() / found.sum() == pytest.approx(112, abs=0.05)


def test_motion_is_at_most_45_degrees_from_the_horizontal() -> None:
    stripes = np.sin(np.arange(224) * 2 * np.pi / 24) / 2 + 0.5
    rows = np.tile(stripes.astype(np.float32)[:, None, None], (1, 224, 3))
    columns = rows.swapaxes(0, 1)
    for seed in range(8):
        # what varies from column to column is lost more than what varies from row to row
        assert motion_blur(columns, 3, seed).std() <= motion_blur(rows, 3, seed).std() + 1e-3
