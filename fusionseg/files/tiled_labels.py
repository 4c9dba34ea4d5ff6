"""Writes label maps that are too large for memory as TIFF files, tile by tile, by tifffile."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fusionseg.files.atomic import replacing
from fusionseg.files.large_tiff import tifffile
from fusionseg.sample import Array, Color

TILE = 256
"""Height and width of the tiles of files that are written, in pixels."""

CLASSIC = 2**32 - 2**25
"""Bytes of pixels from which on a file is a BigTIFF, whose offsets have 64 bits."""


def write_tiff(
    path: Path,
    tiles: Iterable[Array],
    shape: tuple[int, int],
    dtype: type[np.unsignedinteger[Any]],
    palette: Iterable[Color] | None = None,
) -> None:
    """Writes ids as a tiled TIFF atomically, compressed by Deflate: a BigTIFF from 4 GB of ids on.

    Args:
        path: The file.
        tiles: The tiles (`TILE`, `TILE`), row by row from the left, filled up beyond the image.
        shape: Height and width of the image.
        dtype: The type of the ids.
        palette: The colors of the ids from 0 on, of ids of 8 bits.

    Raises:
        UsageError: If tifffile is not installed.
        OSError: If the file cannot be written.
    """
    library = tifffile()
    options: dict[str, Any] = {"photometric": "minisblack"}
    if palette is not None:
        colors = np.zeros((256, 3), np.uint16)
        given = np.array(list(palette), np.uint16)
        colors[: len(given)] = given * 257
        options = {"photometric": "palette", "colormap": colors.T}
    with replacing(path) as draft:
        library.imwrite(
            draft,
            iter(tiles),
            shape=shape,
            dtype=dtype,
            tile=(TILE, TILE),
            compression="zlib",
            bigtiff=math.prod(shape) * np.dtype(dtype).itemsize > CLASSIC,
            metadata=None,
            maxworkers=1,
            buffersize=2**24,
            **options,
        )
