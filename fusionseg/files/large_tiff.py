"""Reads TIFF files that are too large for memory, a part at a time, by tifffile."""

import functools
import math
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.photos import Photo, ValueRange, as_gray, decoding, in_range
from fusionseg.sample import Array

LARGEST = 2**28
"""Bytes that a tile or strip to read may have, decoded."""

KEPT = 2**27
"""Bytes of decoded tiles or strips that are kept for the next window."""

_MINISBLACK, _RGB, _YCBCR = 1, 2, 6
"""How the samples of a pixel are meant (TIFF 6.0, PhotometricInterpretation)."""

_DECODED = (1, 8, 32773, 32946, 34925)
"""Compressions that tifffile decodes alone: none, Deflate by two numbers, PackBits and LZMA."""


def tifffile() -> Any:
    """The module tifffile.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return import_module("tifffile")
    except ImportError as error:
        raise UsageError('windows take tifffile: pip install "fusionseg[tiff]"') from error


class LargeTiff:
    """The image in a TIFF file, of which parts are read: tiled, in strips, or uncompressed.

    Overviews at lower resolutions that the file has besides are passed over. An orientation is not applied.
    Decoded tiles and strips are kept for the next part up to 128 MB: of an image whose strips across the
    width of a part are more, each strip is decoded for each part.

    Args:
        path: The file.
        channels: 3 for RGB and 1 for gray, to which the other is converted, and of which an alpha channel is
            left out; for more, the file's own channels.
        value_range: As in `fusionseg.files.photos.in_range`.

    Attributes:
        height: Height of the image in pixels.
        width: Its width.

    Raises:
        UsageError: If tifffile is not installed.
        ValueError: If the file is no TIFF, damaged, compressed by what cannot be decoded here, in parts that
            are too large, of several images, or of other channels or values.
    """

    def __init__(self, path: Path, channels: int = 3, value_range: ValueRange | None = None) -> None:
        self.path = path
        self.channels = channels
        self.value_range = value_range
        with ExitStack() as opened:
            library = tifffile()
            if not _is_tiff(path):
                if path.stat().st_size == 0:
                    raise UserError(f"{path} is no complete image file (0 bytes): copy it again")
                raise UserError(
                    f"{path} is no TIFF, of which windows are read: convert it, or leave out windows"
                )
            with decoding(path):
                self._file: Any = opened.enter_context(library.TiffFile(path))
                self._page = self._only_page()
            self.height = int(self._page.imagelength)
            self.width = int(self._page.imagewidth)
            self._check()
            size = math.prod(self._page.chunks) * self._page.dtype.itemsize
            self._decoded = functools.lru_cache(max(1, KEPT // size))(self._segment)
            self.window(0, 0, 1, 1)  # what cannot be decoded is refused before anything is answered
            opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoded.cache_clear()
        self._file.close()

    def window(self, top: int, left: int, height: int, width: int) -> Photo:
        """A part (H, W, C) of the image, whose values fill the range of their type.

        Args:
            top: Its first row.
            left: Its first column.
            height: Its height, within the image.
            width: Its width, within the image.

        Raises:
            ValueError: If the file is damaged there, or has values without a range.
        """
        with decoding(self.path):
            planes = self._planes(slice(top, top + height), slice(left, left + width))
        # either the planes or the samples of a pixel are one
        values = planes.transpose(1, 2, 0, 3).reshape(height, width, -1)
        if self.channels == 3:
            values = values[..., :1].repeat(3, 2) if values.shape[2] < 3 else values[..., :3]
        elif self.channels == 1:
            values = values[..., :1] if values.shape[2] < 3 else as_gray(values[..., :3])
        return in_range(np.ascontiguousarray(values), self.value_range, self.path)

    def _only_page(self) -> Any:
        """The page of the image.

        Raises:
            UserError: If there are several that are no overviews.
        """
        pages = [page for page in self._file.pages if not (page.is_reduced or page.is_mask)]
        if len(pages) != 1:
            raise UserError(
                f"expected one image in {self.path}, found {len(pages)} pages: write each to a file of its "
                "own"
            )
        return pages[0].aspage()

    def _check(self) -> None:
        """Raises a UserError if the page is none that can be read in windows."""
        page = self._page
        meanings = (_MINISBLACK, _RGB, _YCBCR)
        fits = (
            page.samplesperpixel in (1, 2, 3, 4)
            if self.channels in (1, 3)
            else (page.samplesperpixel == self.channels)
        )
        if page.photometric not in meanings or not fits or page.imagedepth > 1 or page.dtype is None:
            kind = getattr(page.photometric, "name", page.photometric)
            expected = "gray or RGB" if self.channels in (1, 3) else f"{self.channels} channels"
            found = f"{page.samplesperpixel} channels ({kind})"
            raise UserError(f"expected {expected} in {self.path}, found {found}: convert it")
        bits = 8 * page.dtype.itemsize
        if page.bitspersample != bits and (bits == 8 or self.value_range is None):
            raise UserError(
                f"expected 8 or 16 bits, or a value_range, in {self.path}, found {page.bitspersample} bits: "
                "convert it"
            )
        size = math.prod(page.chunks) * page.dtype.itemsize
        if size > LARGEST and not page.is_memmappable:
            raise UserError(
                f"expected tiles or strips of at most {LARGEST >> 20} MB in {self.path}, found {size >> 20}: "
                "rewrite it in tiles (tiffcp -t, or gdal_translate -co TILED=YES)"
            )
        ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
        if max(ends) > self._file.filehandle.size:
            raise UserError(
                f"{self.path} is no complete image file (it ends before its pixels): download or copy it "
                "again"
            )

    def _planes(self, rows: slice, columns: slice) -> Array:
        """The values (S, H, W, C) of a part, where S is 1, or C is and channels lie in planes."""
        page = self._page
        planes, _, _, _, samples = page.shaped
        if page.is_memmappable:
            # mapped for this part alone: pages of a map that stays open count as the process's memory
            order = page.dtype.newbyteorder(self._file.byteorder)
            mapped = np.memmap(self.path, order, "r", page.dataoffsets[0], page.shaped)
            return np.array(mapped[:, 0, rows, columns])
        values = np.zeros((planes, rows.stop - rows.start, columns.stop - columns.start, samples), page.dtype)
        high = page.tilelength if page.is_tiled else page.rowsperstrip
        wide = page.tilewidth if page.is_tiled else self.width
        down = -(-self.height // high)
        across = -(-self.width // wide)
        for plane in range(planes):
            for row in range(rows.start // high, -(-rows.stop // high)):
                for column in range(columns.start // wide, -(-columns.stop // wide)):
                    segment = self._decoded((plane * down + row) * across + column)
                    if segment is not None:
                        _place(values[plane], segment, row * high - rows.start, column * wide - columns.start)
        return values

    def _segment(self, index: int) -> Array | None:
        """A decoded tile or strip (H, W, C); None where the file leaves it out, which means zeros.

        Raises:
            UserError: If it cannot be decoded without imagecodecs.
        """
        page = self._page
        length = page.databytecounts[index]
        if length == 0:
            return None
        self._file.filehandle.seek(page.dataoffsets[index])
        content = self._file.filehandle.read(length)
        tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
        try:
            found, _, _ = page.decode(content, index, **tables)
        except Exception as error:  # tifffile documents no common base
            if find_spec("imagecodecs") is not None or page.compression in _DECODED:
                raise
            kind = getattr(page.compression, "name", page.compression)
            raise UserError(
                f"{self.path} is compressed by {kind}, which takes imagecodecs: pip install imagecodecs"
            ) from error
        return None if found is None else found[0]


def _is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF or BigTIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _place(values: Array, segment: Array, top: int, left: int) -> None:
    """Copies what a segment (h, w, C) at a place has in common with values (H, W, C)."""
    height, width = segment.shape[:2]
    source = segment[max(-top, 0) :, max(-left, 0) :]
    target = values[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    target[...] = source[: target.shape[0], : target.shape[1]]
