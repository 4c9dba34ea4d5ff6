"""Other colors of an image: one matrix for brightness, contrast, saturation and hue."""

import math

import cv2
import numpy as np

from fusionseg.data.warping import Matrix
from fusionseg.files.photos import Photo

_GRAY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_GRAY, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def recolored(image: Photo, brightness: float, contrast: float, saturation: float, hue: float) -> Photo:
    """An image (H, W, C) with other colors in its first three channels.

    Args:
        image: The image, RGB first, or gray alone (H, W, 1), which has no saturation and no hue.
        brightness: The factor of all values.
        contrast: That of the distance to the image's mean gray.
        saturation: That of the distance to the pixel's own gray.
        hue: The shift of the hue as a part of the full circle (a rotation in YIQ).
    """
    if image.shape[2] == 1:
        mean = brightness * cv2.mean(image)[0]
        matrix = np.array([[contrast * brightness, (1 - contrast) * mean]])
        return _clipped(cv2.transform(image, matrix).reshape(image.shape))  # type: ignore[arg-type]
    rgb = image if image.shape[2] == 3 else np.ascontiguousarray(image[..., :3])
    gray = brightness * float(_GRAY @ cv2.mean(rgb)[:3])
    chroma = _hue_rotation(hue) @ (saturation * np.eye(3) + (1 - saturation) * _GRAY)
    # A gray offset has no chroma: neither saturation nor hue changes it.
    matrix = np.column_stack((contrast * brightness * chroma, np.full(3, (1 - contrast) * gray)))
    changed = _clipped(cv2.transform(rgb, matrix))  # type: ignore[arg-type]
    return changed if image.shape[2] == 3 else np.dstack((changed, image[..., 3:]))


def _clipped(image: Photo) -> Photo:
    """An image whose floats end at the limits of their range, as integers do by themselves."""
    return image.clip(0, 1) if image.dtype == np.float32 else image


def _hue_rotation(turn: float) -> Matrix:
    """The matrix (3, 3) that rotates the chroma of RGB in YIQ by a part of the full circle."""
    cos = math.cos(2 * math.pi * turn)
    sin = math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    matrix: Matrix = np.linalg.inv(_YIQ) @ rotation @ _YIQ
    return matrix
