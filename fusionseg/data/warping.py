"""Views of images and label maps through an affine map, with pixel centers at half integers."""

import math
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.base import LabelMap
from fusionseg.files.photos import Photo

_Scalar = TypeVar("_Scalar", bound=np.integer | np.floating)

Matrix: TypeAlias = npt.NDArray[np.float64]
"""An affine map (2, 3) from (x, y) of the view to (x, y) of the image."""


def channel_groups(planes: npt.NDArray[_Scalar]) -> list[npt.NDArray[_Scalar]]:
    """The channels of (H, W, C) in groups of four, the most that OpenCV supports for borders and means."""
    return [np.ascontiguousarray(group) for group in np.split(planes, range(4, planes.shape[2], 4), axis=2)]


def image_view(image: Photo, warp: Matrix, crop_size: tuple[int, int]) -> Photo:
    """The crop of an image (H, W, C) by linear interpolation, with the mean color beyond its border."""
    height, width, channels = image.shape
    shrunk = image
    # Linear interpolation looks at two pixels: of a much larger image it would see only a few.
    while abs(np.linalg.det(warp[:, :2])) * (shrunk.shape[0] / height) ** 2 > 4 and min(shrunk.shape[:2]) > 1:
        half = ((shrunk.shape[1] + 1) // 2, (shrunk.shape[0] + 1) // 2)
        halves = [cv2.resize(group, half, interpolation=cv2.INTER_AREA) for group in channel_groups(shrunk)]
        smaller: Photo = np.dstack(halves)
        shrunk = smaller.reshape(half[1], half[0], channels)
    factor = np.array([[shrunk.shape[1] / width], [shrunk.shape[0] / height]])
    # the mean of a large image takes longer than a crop of it, and most crops lie within theirs
    seen = _reaches_beyond(warp * factor, crop_size, (shrunk.shape[0], shrunk.shape[1]))
    groups = [
        warped(group, warp * factor, crop_size, cv2.INTER_LINEAR, cv2.mean(group) if seen else (0,))
        for group in channel_groups(shrunk)
    ]
    return (groups[0] if len(groups) == 1 else np.dstack(groups)).reshape(*crop_size, channels)


def _reaches_beyond(warp: Matrix, crop_size: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a crop shows what lies beyond the outermost pixel centers of an image (H, W)."""
    right = crop_size[1] - 0.5
    bottom = crop_size[0] - 0.5
    corners = np.array([[0.5, right, 0.5, right], [0.5, 0.5, bottom, bottom], [1, 1, 1, 1]])
    places = warp @ corners
    last = np.array([[size[1] - 0.5], [size[0] - 0.5]])
    return bool((places < 0.5).any() or (places > last).any())


def nearest_view(plane: LabelMap, warp: Matrix, crop_size: tuple[int, int]) -> LabelMap:
    """The crop of a label map (H, W) or (H, W, C) at the nearest pixels, 0 beyond the border."""
    if plane.ndim == 2:
        return warped(plane, warp, crop_size, cv2.INTER_NEAREST, (0,))
    # One by one: OpenCV rounds the places of planes of two channels in another way than those of one.
    channels = [np.ascontiguousarray(plane[..., i]) for i in range(plane.shape[2])]
    return np.dstack([warped(channel, warp, crop_size, cv2.INTER_NEAREST, (0,)) for channel in channels])


def turned(normals: LabelMap, warp: Matrix) -> LabelMap:
    """Normals (H, W, 3) of the image's axes in those of the crop: mirrored and rotated, not scaled.

    The warp leads from the crop to the image. Without its zoom it is orthogonal, so its transpose leads back.
    """
    orthogonal = warp[:, :2] / math.sqrt(abs(np.linalg.det(warp[:, :2])))
    matrix = np.eye(3)
    matrix[:2, :2] = orthogonal.T
    vectors: LabelMap = cv2.transform(normals, matrix)  # type: ignore[assignment]
    return vectors


def warped(
    plane: npt.NDArray[_Scalar],
    warp: Matrix,
    crop_size: tuple[int, int],
    flags: int,
    border: Sequence[float],
) -> npt.NDArray[_Scalar]:
    """The crop of a plane; `warp` has pixel centers at half integers, OpenCV at integers."""
    shifted = np.column_stack((warp[:, :2], warp[:, 2] + warp[:, :2].sum(axis=1) / 2 - 0.5))
    crop: npt.NDArray[_Scalar] = cv2.warpAffine(  # type: ignore[assignment]
        plane, shifted, crop_size[::-1], flags=flags | cv2.WARP_INVERSE_MAP, borderValue=border
    )
    return crop
