"""The size of an image from the header of its file."""

from io import BufferedReader
from typing import BinaryIO

import numpy as np
from PIL import Image

from fusionseg.files.archive_path import ArchivePath
from fusionseg.files.byte_ranges import RangeReader
from fusionseg.files.orientation import turned
from fusionseg.files.readable_path import ReadablePath


def stored_size(path: ReadablePath) -> tuple[int, int] | None:
    """Height and width of an image as it is stored; None where its header does not tell.

    Args:
        path: An image that Pillow opens, or an array (H, W) or (H, W, C) in a `.npy` file.
    """
    try:
        with _opened(path) as file:
            if path.suffix.lower() == ".npy":
                height, width = _array_shape(file)[:2]
                return height, width
            with Image.open(file) as image:
                # Pillow gives the size after an orientation that it applies, and 5 to 8 swap the sides
                lies = turned(image) > 4
                return (image.width, image.height) if lies else (image.height, image.width)
    except Exception:  # whoever reads the pixels reports it
        return None


def _opened(path: ReadablePath) -> BinaryIO:
    """A file whose beginning can be read without the rest; a deflated one in an archive is inflated whole."""
    return BufferedReader(RangeReader(path.byte_range)) if isinstance(path, ArchivePath) else path.open("rb")


def _array_shape(file: BinaryIO) -> tuple[int, ...]:
    """The shape of the array in a `.npy` file."""
    if np.lib.format.read_magic(file) == (1, 0):
        return np.lib.format.read_array_header_1_0(file)[0]
    return np.lib.format.read_array_header_2_0(file)[0]
