"""Reads maps of depth and of surface normals, and makes depth a channel of an image."""

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UserError
from fusionseg.files.images import read_labels
from fusionseg.files.photos import Photo, decoding, read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Array

DEPTH_SUFFIXES = frozenset({".npy", ".png", ".tif", ".tiff"})
"""The suffixes, in lower case, of the files of depth that can be read."""

MILLIMETER = 0.001
"""In meters: the usual step of depth in files of 16 bits."""

_UNIT = 0.5
"""Colors whose vectors are off unit length by more stand for no normal."""


def read_depth(path: ReadablePath, step: float = MILLIMETER) -> npt.NDArray[np.float32]:
    """The depth (H, W) in meters of a file, 0 where it is not known.

    Args:
        path: Gray values of 16 bits (PNG, TIFF), or an array (`.npy`) of integers, or of floats in meters.
        step: Meters of an integer's 1.

    Raises:
        UserError: If the file is damaged, or holds something else.
    """
    if path.suffix.lower() == ".npy":
        values = _loaded(path)
        values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    else:
        values = read_labels(path)
    return in_meters(values, path, step)


def in_meters(values: Array, path: ReadablePath | str, step: float = MILLIMETER) -> npt.NDArray[np.float32]:
    """Values (H, W) of depth in meters, 0 where they are not finite or below 0.

    Args:
        values: Floats in meters, or integers of more than 8 bits.
        path: Where they are from, for the message.
        step: Meters of an integer's 1.

    Raises:
        UserError: If they are something else.
    """
    fits = values.ndim == 2 and values.size and (values.dtype.kind == "f" or values.dtype.kind in "iu")
    if not fits or values.dtype.itemsize == 1:
        raise UserError(
            f"expected depth (H, W) as floats in meters or as integers of 16 bits in {path}, found "
            f"{values.dtype} {values.shape}"
        )
    meters = values.astype(np.float32)
    if values.dtype.kind != "f":
        meters *= np.float32(step)
    meters[~(np.isfinite(meters) & (meters > 0))] = 0
    return meters


def read_normals(path: ReadablePath) -> npt.NDArray[np.float32]:
    """The normals (H, W, 3) of a file, the zero vector where they are not known.

    Args:
        path: An array (`.npy`) of floats, whose vectors are taken as they are, of unit length or not, but for
            those that are not finite; or a picture whose colors p of 8 bits stand for 2 p / 255 - 1, those of
            16 bits for 2 p / 65535 - 1, whose vectors are brought to unit length.

    Raises:
        UserError: If the file is damaged, or holds something else.
    """
    is_array = path.suffix.lower() == ".npy"
    if is_array:
        values = _loaded(path)
    else:
        colors = read_image(path)
        white = 1 if colors.dtype.kind == "f" else 2 ** (8 * colors.itemsize) - 1
        values = (colors.astype(np.float32) * np.float32(2 / white) - 1).astype(np.float32)
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype.kind != "f":
        raise UserError(f"expected normals (H, W, 3) in {path}, found {values.dtype} {values.shape}")
    normals = values.astype(np.float32)
    if is_array:
        return np.where(np.isfinite(normals).all(2, keepdims=True), normals, 0)
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    known = np.abs(length - 1) < _UNIT  # gray is the zero vector, and black and white are no directions
    return np.where(known, normals / np.where(known, length, 1), 0)


def with_depth(image: Photo, depth: npt.NDArray[np.float32], depth_limit: float) -> Photo:
    """An image with depth as its last channel, (H, W, C + 1), of 16 bits, or floats where the image has them.

    Args:
        image: The image (H, W, C); one of 8 bits fills 16.
        depth: The depth (H, W) in meters, 0 where it is not known, as it is then in the channel.
        depth_limit: The depth in meters that the largest value stands for; what is farther has it too.

    Raises:
        UserError: If the two differ in size.
    """
    if depth.shape != image.shape[:2]:
        sizes = [f"{width} x {height}" for height, width in (image.shape[:2], depth.shape)]
        raise UserError(f"expected depth of the image's size {sizes[0]}, found {sizes[1]}")
    channel = (depth / np.float32(depth_limit)).clip(0, 1)
    if image.dtype == np.float32:
        return np.dstack([image, channel])
    deep = image.astype(np.uint16) * np.uint16(257) if image.dtype == np.uint8 else image
    return np.dstack([deep, np.rint(channel * 65535).astype(np.uint16)])


def _loaded(path: ReadablePath) -> Array:
    """The array of a `.npy` file."""
    with path.open("rb") as file, decoding(path):
        values: Array = np.load(file, allow_pickle=False)
    return values
