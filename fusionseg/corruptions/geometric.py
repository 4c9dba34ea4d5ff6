"""Turned cameras: rotation about the line of sight, and perspective. Labels move with the image.

A camera that turns sees a homography of what it saw before, whatever the scene is, so that labels of classes
and regions move exactly, and depth and normals too, for a known focal length. It is taken to be the longer
side of the image, which is a field of view of 53 degrees.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.corruptions.base import Ids, at, by_channel, size_of, stored, unit
from fusionseg.files.photos import Photo
from fusionseg.sample import Array

ROTATIONS = (6, 12, 18, 24, 30)
TILTS = (8, 16, 24, 32, 40)


class Turned(NamedTuple):
    """What a camera sees after it turned, with the middle of the image still in the middle and as large.

    Attributes:
        rotation: The matrix (3, 3) that takes directions (x right, y down, z away) of the camera before to
            those of the camera after.
    """

    rotation: npt.NDArray[np.float64]

    def image(self, image: Photo) -> Photo:
        """The image (H, W, C), by linear interpolation, with its mean color where nothing is known."""
        x, y, inside = self.places(size_of(image))
        maps = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)

        def seen(channel: npt.NDArray[np.float32]) -> Array:
            moved = cv2.remap(channel, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            return np.where(inside, moved, channel.mean())

        return stored(by_channel(seen, unit(image)), image)

    def ids(self, plane: npt.NDArray[Ids], unlabelled: int) -> npt.NDArray[Ids]:
        """A map (H, W) of classes or regions at the nearest pixels, unlabelled where nothing is known."""
        x, y, inside = self.places(size_of(plane))
        return np.where(inside, _nearest(plane, x, y), plane.dtype.type(unlabelled))

    def values(self, kind: str, plane: Array) -> Array:
        """A map (H, W) or (H, W, C) of a further kind at the nearest pixels, 0 where nothing is known.

        Depth is that along the new line of sight, disparity its inverse, and normals turn with the camera.
        """
        height, width = size_of(plane)
        x, y, inside = self.places((height, width))
        moved = _nearest(plane, x, y) * (inside if plane.ndim == 2 else inside[..., None])
        if kind == "normals":
            moved = moved @ self.rotation.T
        if kind in ("depth", "disparity"):
            focal = max(height, width)
            directions = np.dstack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)])
            along = directions @ self.rotation[2]
            moved = moved * along if kind == "depth" else moved / np.where(inside, along, 1)
        return moved.astype(plane.dtype)

    def homography(self, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        """The matrix (3, 3) from places (x, y) before to those after; pixel centers are at half integers."""
        height, width = size
        focal = max(size)
        before = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        x, y, z = self.rotation[:, 2]  # where the line of sight of before points now
        zoom = focal * z
        after = np.array([[zoom, 0, width / 2 - focal * x], [0, zoom, height / 2 - focal * y], [0, 0, 1]])
        turned: npt.NDArray[np.float64] = after @ self.rotation @ np.linalg.inv(before)
        return turned

    def places(self, size: tuple[int, int]) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
        """Where each pixel was before: x and y (H, W), and whether that is in the image."""
        height, width = size
        y, x = np.mgrid[:height, :width] + 0.5
        before = np.linalg.inv(self.homography(size))
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in before)
        u = u / w
        v = v / w
        return u, v, (u >= 0) & (u < width) & (v >= 0) & (v < height) & (w > 0)


def rotation(image: Photo, severity: int, seed: int) -> Photo:
    """A rotation about the middle by 6 to 30 degrees, to the side that the seed says."""
    return rotated(size_of(image), severity, seed).image(image)


def perspective(image: Photo, severity: int, seed: int) -> Photo:
    """A tilt of the camera by 8 to 40 degrees in a direction that the seed says."""
    return tilted(size_of(image), severity, seed).image(image)


def rotated(size: tuple[int, int], severity: int, seed: int) -> Turned:
    """The turn of `rotation`."""
    side = np.random.default_rng(seed).choice((-1, 1))
    return _turned(np.array([0, 0, side]), at(severity, ROTATIONS))


def tilted(size: tuple[int, int], severity: int, seed: int) -> Turned:
    """The turn of `perspective`."""
    direction = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    return _turned(np.array([np.cos(direction), np.sin(direction), 0]), at(severity, TILTS))


def _turned(axis: npt.NDArray[np.float64], degrees: float) -> Turned:
    """A turn about an axis of unit length."""
    return Turned(cv2.Rodrigues(axis * np.radians(degrees))[0])


def _nearest(plane: Array, x: Array, y: Array) -> Array:
    """The values of a map at the pixels that places (H, W) are in, or at the nearest ones of the border."""
    height, width = size_of(plane)
    rows = np.floor(y).clip(0, height - 1).astype(int)
    columns = np.floor(x).clip(0, width - 1).astype(int)
    found: Array = plane[rows, columns]
    return found
