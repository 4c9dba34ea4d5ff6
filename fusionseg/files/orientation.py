"""The EXIF orientation of photos, and pixels that were turned by it."""

from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image

from fusionseg.files.readable_path import ReadablePath, as_path
from fusionseg.sample import Array

_UPRIGHT = 1
_UNDONE: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: np.rot90,
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, 3),
}
"""What leads back from pixels that were turned by their EXIF orientation."""


def orientation(path: str | ReadablePath) -> int:
    """The EXIF orientation of a photo, 1 to 8; 1, upright, where the file has none or cannot be read."""
    try:
        with as_path(path).open("rb") as file, Image.open(file) as image:
            return _orientation(image)
    except Exception:  # whoever reads the pixels reports it
        return _UPRIGHT


def turned(image: Image.Image) -> int:
    """The orientation that Pillow and OpenCV apply when they read pixels, as they do for TIFF files alone."""
    return _orientation(image) if image.format == "TIFF" else _UPRIGHT


def as_stored(pixels: Array, applied: int) -> Array:
    """The pixels (H, W, ...) without an orientation that was applied to them."""
    return np.ascontiguousarray(_UNDONE[applied](pixels)) if applied in _UNDONE else pixels


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(ExifTags.Base.Orientation) or _UPRIGHT)
