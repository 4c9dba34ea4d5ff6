"""Reads soft maps: how strongly each pixel is said to be a boundary."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UserError
from fusionseg.files.photos import as_stored, decoding, opened, turned

SOFT_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp", ".npy", ".jpg", ".jpeg"})
"""The suffixes, in lower case, of the files that can be read."""


def read_soft_map(path: Path) -> npt.NDArray[np.float64]:
    """The values (H, W) of a grey image or an array, in [0, 1].

    Values of 8 and 16 bits are divided by 255 and 65535; floats have to lie in [0, 1].

    Raises:
        UserError: If the file is damaged, has colors, several channels, or values outside of the range.
    """
    if path.suffix.lower() == ".npy":
        with decoding(path):
            values = np.load(path, allow_pickle=False)
    else:
        with opened(path) as image, decoding(path):
            values = as_stored(np.asarray(image), turned(image))
            if image.mode == "P":
                raise UserError(f"expected grey values in {path}, found a palette: convert it to grey first")
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or not values.size:
        raise UserError(
            f"expected one grey value for each pixel in {path}, found {values.dtype} {values.shape}"
        )
    unit = {np.dtype(bool): 1, np.dtype(np.uint8): 255}.get(
        values.dtype, 65535 if values.dtype.kind in "iu" else 1
    )
    scaled: npt.NDArray[np.float64] = values.astype(np.float64) / unit
    if not np.isfinite(scaled).all() or scaled.min() < 0 or scaled.max() > 1:
        raise UserError(
            f"expected 8 or 16 bits or floats in [0, 1] in {path}, found {values.dtype} "
            f"{values.min()}..{values.max()}"
        )
    return scaled
