"""Where a crop lies in an image: its affine map, around a pixel, and whether it shows several classes."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.warping import Matrix
from fusionseg.sample import VOID

TRIES = 10
"""How often a crop that shows too little besides one class is drawn again."""


def view(
    size: tuple[int, int],
    crop_size: tuple[int, int],
    zoom: float,
    angle: float,
    mirror: float,
    position: npt.NDArray[np.float64],
) -> Matrix:
    """The affine map (2, 3) from (x, y) of the crop to (x, y) of the image, pixel centers at half integers.

    Args:
        size: Height and width of the image.
        crop_size: Height and width of the crop.
        zoom: Size of a thing in the crop relative to the image.
        angle: Rotation in radians.
        mirror: -1 to mirror left and right, 1 not to.
        position: Where the crop lies within its range, (x, y) in [0, 1).
    """
    linear = _linear(zoom, angle, mirror)
    crop = np.array(crop_size[::-1], dtype=np.float64)
    extent = np.abs(linear) @ crop
    slack = np.array(size[::-1]) - extent
    # Whole pixels, so that a crop without zoom and rotation is a copy and not blurred.
    start = np.copysign(np.minimum(np.floor(position * (np.abs(slack) + 1)), np.abs(slack)), slack)
    return np.column_stack((linear, start + extent / 2 - linear @ crop / 2))


def centered(
    pixel: npt.NDArray[np.float64],
    size: tuple[int, int],
    crop_size: tuple[int, int],
    zoom: float,
    angle: float,
    mirror: float,
) -> npt.NDArray[np.float64]:
    """The `position` of `view` whose crop has a place at its center, as far as the image's border allows.

    Args:
        pixel: The place (x, y) in the image.
        size: As in `view`.
        crop_size: As in `view`.
        zoom: As in `view`.
        angle: As in `view`.
        mirror: As in `view`.
    """
    extent = np.abs(_linear(zoom, angle, mirror)) @ np.array(crop_size[::-1], dtype=np.float64)
    slack = np.array(size[::-1]) - extent
    start = (pixel - extent / 2).clip(np.minimum(slack, 0), np.maximum(slack, 0))
    position: npt.NDArray[np.float64] = np.abs(start) / (np.abs(slack) + 1)
    return position


def is_varied(semantic: npt.NDArray[np.uint8], most: float) -> bool:
    """Whether a crop shows several classes, none of which takes more than a share of its labelled pixels.

    This is the test of `cat_max_ratio` in mmsegmentation's `RandomCrop`.

    Args:
        semantic: The crop's class ids (H, W).
        most: The share that is already too much.
    """
    counts = class_histogram(semantic)
    counts = counts[counts > 0]
    return len(counts) > 1 and bool(counts.max() / counts.sum() < most)


def class_histogram(semantic: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The number of pixels of each class id in a map (H, W), without void (255,)."""
    counts: npt.NDArray[np.int64] = (
        cv2.calcHist([semantic], [0], None, [VOID + 1], [0, VOID + 1]).ravel().astype(np.int64)
    )
    return counts[:VOID]


def _linear(zoom: float, angle: float, mirror: float) -> Matrix:
    """The linear part (2, 2) of a view."""
    cos = math.cos(angle) / zoom
    sin = math.sin(angle) / zoom
    return np.array([[mirror * cos, -sin], [mirror * sin, cos]])
