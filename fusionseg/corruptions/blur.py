"""Blur. Lengths are those of ImageNet-C at a shorter side of 224 pixels, and grow with it."""

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.corruptions.base import Values, at, by_channel, length, stored, unit
from fusionseg.files.photos import Photo

SIGMAS = (1, 2, 3, 4, 6)
RADII = (3, 4, 6, 8, 10)
STREAKS = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
STEEPEST = 45
"""The largest angle of a motion to the horizontal, in degrees."""


def gaussian_blur(image: Photo, severity: int, seed: int) -> Photo:
    """A Gaussian of a standard deviation of 1 to 6 pixels (as in ImageNet-C)."""
    sigma = at(severity, SIGMAS) * length(image)

    def blurred(channel: Values) -> Values:
        return cv2.GaussianBlur(channel, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)  # type: ignore[return-value]

    return stored(by_channel(blurred, unit(image)), image)


def defocus_blur(image: Photo, severity: int, seed: int) -> Photo:
    """A disk with a radius of 3 to 10 pixels, as a point that is out of focus (as in ImageNet-C)."""
    return _filtered(image, disk(at(severity, RADII) * length(image)))


def motion_blur(image: Photo, severity: int, seed: int) -> Photo:
    """A streak in a direction up to 45 degrees from the horizontal, which the seed says.

    As in ImageNet-C, which is ImageMagick's, it fades as half a Gaussian. There it moves the image by up to a
    dozen pixels, too; here its center of mass stays, so that things stay where their labels are.
    """
    radius, sigma = at(severity, STREAKS)
    angle = np.radians(np.random.default_rng(seed).uniform(-STEEPEST, STEEPEST))
    return _filtered(image, streak(radius * length(image), sigma * length(image), angle))


def disk(radius: float) -> npt.NDArray[np.float64]:
    """A disk (K, K) that adds up to 1, with an edge that is one pixel wide."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = (radius + 0.5 - np.hypot(x, y)).clip(0, 1)
    kernel: npt.NDArray[np.float64] = inside / inside.sum()
    return kernel


def streak(radius: float, sigma: float, angle: float) -> npt.NDArray[np.float64]:
    """A streak (K, K) that adds up to 1, whose center of mass is the middle.

    Args:
        radius: Half of its length in pixels.
        sigma: Standard deviation in pixels of the Gaussian of which it is one half.
        angle: Its direction from the x axis, in radians.
    """
    steps = np.arange(2 * round(radius) + 1)
    weights = np.exp(-((steps / sigma) ** 2) / 2)
    weights /= weights.sum()
    along = steps - weights @ steps
    reach = int(np.ceil(np.abs(along).max())) + 1
    y = along * np.sin(angle) + reach
    x = along * np.cos(angle) + reach
    row = np.floor(y).astype(int)
    column = np.floor(x).astype(int)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for down, share in ((0, row + 1 - y), (1, y - row)):  # each step by its four nearest pixels
        np.add.at(kernel, (row + down, column), weights * share * (column + 1 - x))
        np.add.at(kernel, (row + down, column + 1), weights * share * (x - column))
    return kernel


def _filtered(image: Photo, kernel: npt.NDArray[np.float64]) -> Photo:
    """An image filtered by a kernel, whose border goes on beyond the image."""

    def filtered(channel: Values) -> Values:
        return cv2.filter2D(channel, -1, kernel, borderType=cv2.BORDER_REPLICATE)  # type: ignore[return-value]

    return stored(by_channel(filtered, unit(image)), image)
