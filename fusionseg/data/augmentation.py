"""Random views of an image: one affine warp of the crop for the geometry, one matrix for the color."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.base import Pixels
from fusionseg.sample import VOID

_Image = npt.NDArray[np.uint8]
_Matrix = npt.NDArray[np.float64]

_GRAY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_GRAY, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


class Augmentation:
    """Scale, rotation, flip and crop as one warp, then brightness, contrast, saturation and hue as one 3x4 matrix.

    The crop's position is random, and where the image is large enough the crop lies within it. Beyond the image the
    view shows its mean color, labelled void.

    Args:
        scale: Smallest and largest zoom, drawn evenly on a logarithmic scale.
        rotation: Largest angle in degrees, to either side.
        flip: Probability of a mirrored view.
        brightness: The factor of all values is drawn from 1 - brightness to 1 + brightness.
        contrast: The same for the distance to the image's mean gray.
        saturation: The same for the distance to the pixel's own gray.
        hue: Largest turn of the hue to either side, as a part of the full circle (a rotation in YIQ).
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.5, 2.0),
        rotation: float = 10.0,
        flip: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.05,
    ) -> None:
        if not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError(f"expected scales 0 < smallest <= largest, found {tuple(scale)}")
        if not 0 <= rotation <= 180:
            raise ValueError(f"expected a rotation in [0, 180] degrees, found {rotation}")
        if not 0 <= flip <= 1:
            raise ValueError(f"expected a probability of a flip in [0, 1], found {flip}")
        for name, value in {
            "brightness": brightness,
            "contrast": contrast,
            "saturation": saturation,
            "hue": hue,
        }.items():
            if not 0 <= value <= (0.5 if name == "hue" else 1):
                raise ValueError(f"expected {name} in [0, {0.5 if name == 'hue' else 1}], found {value}")
        self.scale, self.rotation, self.flip = scale, rotation, flip
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    @classmethod
    def none(cls) -> "Augmentation":
        """Nothing but the random position of the crop."""
        return cls((1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def __call__(
        self, pixels: Pixels, crop_size: tuple[int, int], zoom: float, rng: np.random.Generator
    ) -> Pixels:
        """A view of an image.

        Args:
            pixels: The image and its labels.
            crop_size: Height and width of the view.
            zoom: Size of the whole data set's images relative to their files, on top of which `scale` acts.
            rng: The only source of chance.
        """
        zoom *= math.exp(rng.uniform(*np.log(self.scale)))
        turn = math.radians(rng.uniform(-self.rotation, self.rotation))
        mirror = -1.0 if rng.random() < self.flip else 1.0
        height, width = pixels.semantic.shape
        warp = view((height, width), crop_size, zoom, turn, mirror, rng.random(2))
        return Pixels(
            self.color(_image_view(pixels.image, warp, crop_size), rng),
            _warp(pixels.semantic, warp, crop_size, cv2.INTER_NEAREST, (VOID,)),
            _warp(pixels.region, warp, crop_size, cv2.INTER_NEAREST, (0,)),
        )

    def color(self, image: _Image, rng: np.random.Generator) -> _Image:
        """The image with its first three channels in another light."""
        spread = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        if not spread.any():
            return image
        bright, contrast, saturation, hue = rng.uniform(-spread, spread) + np.array([1, 1, 1, 0])
        rgb = image if image.shape[2] == 3 else np.ascontiguousarray(image[..., :3])
        gray = bright * float(_GRAY @ cv2.mean(rgb)[:3])
        chroma = _hue_rotation(hue) @ (saturation * np.eye(3) + (1 - saturation) * _GRAY)
        # A gray offset has no chroma: neither saturation nor hue moves it.
        matrix = np.column_stack((contrast * bright * chroma, np.full(3, (1 - contrast) * gray)))
        changed: _Image = cv2.transform(rgb, matrix)  # type: ignore[assignment]
        return changed if image.shape[2] == 3 else np.dstack((changed, image[..., 3:]))


def view(
    size: tuple[int, int],
    crop_size: tuple[int, int],
    zoom: float,
    turn: float,
    mirror: float,
    position: npt.NDArray[np.float64],
) -> _Matrix:
    """The affine map (2, 3) from the crop's plane to the image's, (x, y), where a pixel's center lies at half integers.

    Args:
        size: Height and width of the image.
        crop_size: Height and width of the crop.
        zoom: Size of a thing in the crop relative to the image.
        turn: Angle in radians.
        mirror: -1 to mirror left and right, 1 not to.
        position: Where the crop lies within its range, (x, y) in [0, 1).
    """
    cos, sin = math.cos(turn) / zoom, math.sin(turn) / zoom
    linear = np.array([[mirror * cos, -sin], [mirror * sin, cos]])
    crop = np.array(crop_size[::-1], dtype=np.float64)
    extent = np.abs(linear) @ crop
    slack = np.array(size[::-1]) - extent
    # Whole pixels, so that a crop without zoom and rotation is a copy and no blur.
    start = np.copysign(np.minimum(np.floor(position * (np.abs(slack) + 1)), np.abs(slack)), slack)
    return np.column_stack((linear, start + extent / 2 - linear @ crop / 2))


def _image_view(image: _Image, warp: _Matrix, crop_size: tuple[int, int]) -> _Image:
    """The crop of an image (H, W, C) by linear interpolation, its mean color beyond the border."""
    height, width, channels = image.shape
    shrunk = image
    # Linear interpolation looks at two pixels: of a much larger image it would see only a few.
    while abs(np.linalg.det(warp[:, :2])) * (shrunk.shape[0] / height) ** 2 > 4 and min(shrunk.shape[:2]) > 1:
        half = ((shrunk.shape[1] + 1) // 2, (shrunk.shape[0] + 1) // 2)
        halves = [cv2.resize(group, half, interpolation=cv2.INTER_AREA) for group in fours(shrunk)]
        smaller: npt.NDArray[Any] = np.dstack(halves)
        shrunk = smaller.reshape(half[1], half[0], channels)
    factor = np.array([[shrunk.shape[1] / width], [shrunk.shape[0] / height]])
    parts = [_warp(g, warp * factor, crop_size, cv2.INTER_LINEAR, cv2.mean(g)) for g in fours(shrunk)]
    return (parts[0] if len(parts) == 1 else np.dstack(parts)).reshape(*crop_size, channels)


def fours(image: _Image) -> list[_Image]:
    """The image in groups of the four channels that OpenCV's border, mean and averaging know at most."""
    return [np.ascontiguousarray(group) for group in np.split(image, range(4, image.shape[2], 4), axis=2)]


def _warp(
    plane: npt.NDArray[Any], warp: _Matrix, crop_size: tuple[int, int], flags: int, border: Sequence[float]
) -> npt.NDArray[Any]:
    """The crop of a plane; `warp` has pixel centers at half integers, OpenCV at integers."""
    shifted = np.column_stack((warp[:, :2], warp[:, 2] + warp[:, :2].sum(axis=1) / 2 - 0.5))
    size = crop_size[::-1]
    warped: npt.NDArray[Any] = cv2.warpAffine(
        plane, shifted, size, flags=flags | cv2.WARP_INVERSE_MAP, borderValue=border
    )
    return warped


def _hue_rotation(turn: float) -> _Matrix:
    """The matrix (3, 3) that turns the chroma of RGB in YIQ by a part of the full circle."""
    cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    matrix: _Matrix = np.linalg.inv(_YIQ) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ
    return matrix
