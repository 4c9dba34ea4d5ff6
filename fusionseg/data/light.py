"""Colors in another light: one matrix for brightness, contrast, saturation and hue."""

import math

import cv2
import numpy as np

from fusionseg.data.warping import Matrix
from fusionseg.files.photos import Photo

_GRAY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_GRAY, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def relit(image: Photo, brightness: float, contrast: float, saturation: float, hue: float) -> Photo:
    """An image (H, W, C) with its first three channels in another light.

    Args:
        image: The image, RGB first.
        brightness: The factor of all values.
        contrast: That of the distance to the image's mean gray.
        saturation: That of the distance to the pixel's own gray.
        hue: The shift of the hue as a part of the full circle (a rotation in YIQ).
    """
    rgb = image if image.shape[2] == 3 else np.ascontiguousarray(image[..., :3])
    gray = brightness * float(_GRAY @ cv2.mean(rgb)[:3])
    chroma = _hue_rotation(hue) @ (saturation * np.eye(3) + (1 - saturation) * _GRAY)
    # A gray offset has no chroma: neither saturation nor hue changes it.
    matrix = np.column_stack((contrast * brightness * chroma, np.full(3, (1 - contrast) * gray)))
    changed: Photo = cv2.transform(rgb, matrix)  # type: ignore[assignment]
    if changed.dtype == np.float32:  # integers end at their limits by themselves
        changed = changed.clip(0, 1)
    return changed if image.shape[2] == 3 else np.dstack((changed, image[..., 3:]))


def _hue_rotation(turn: float) -> Matrix:
    """The matrix (3, 3) that rotates the chroma of RGB in YIQ by a part of the full circle."""
    cos = math.cos(2 * math.pi * turn)
    sin = math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    matrix: Matrix = np.linalg.inv(_YIQ) @ rotation @ _YIQ
    return matrix
