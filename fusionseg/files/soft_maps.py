"""Reads soft maps: how strongly each pixel is said to be a boundary."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UserError
from fusionseg.files.orientation import as_stored, turned
from fusionseg.files.photos import decoding, opened
from fusionseg.sample import Array

SOFT_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".npy", ".jpg", ".jpeg"})
"""The suffixes, in lower case, of the files that can be read."""


def read_soft_map(path: Path) -> npt.NDArray[np.float64]:
    """The values (H, W) of a gray image or an array, in [0, 1].

    Values of 8 and 16 bits are divided by 255 and 65535; floats have to lie in [0, 1].

    Raises:
        UserError: If the file is damaged, has colors, several channels, another type, values outside of the
            range, or so small ones that they were written for another range.
    """
    values = _stored(path)
    if values.ndim == 3 and values.shape[2] and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or not values.size:
        raise UserError(
            f"expected one gray value for each pixel in {path}, found {values.dtype} {values.shape}"
        )
    if values.dtype != bool and values.dtype not in (np.uint8, np.uint16) and values.dtype.kind != "f":
        raise UserError(f"expected 8 or 16 bits or floats in [0, 1] in {path}, found {values.dtype}")
    most = values.max()
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or values.min() < 0 or most > 1:
            found = f"{values.min()}..{most}" if np.isfinite(values).all() else "values that are not finite"
            raise UserError(f"expected floats in [0, 1] in {path}, found {found}")
        return values.astype(np.float64)
    full = {np.dtype(bool): 1, np.dtype(np.uint8): 255}.get(values.dtype, 65535)
    if full > 1 and (most == 1 or (full == 65535 and 0 < most <= 255)):
        raise UserError(
            f"expected values up to {full} in {path}, as its type has, found 0..{most}: write them in the "
            "range of their type, or as floats in [0, 1]"
        )
    return values.astype(np.float64) / full


def _stored(path: Path) -> Array:
    """What a file holds."""
    if path.suffix.lower() == ".npy":
        with decoding(path):
            return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
    with opened(path) as image:
        if image.mode == "P":
            raise UserError(f"expected gray values in {path}, found a palette: convert it to gray first")
        with decoding(path):
            return as_stored(np.asarray(image), turned(image))
