"""Label maps of windows in files, from which the tiles of a large TIFF are made."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fusionseg.files.tiled_labels import TILE
from fusionseg.inference.window_grid import Span, Window, WindowGrid
from fusionseg.sample import IntMap

_KEPT = 4
"""Maps that are kept for the next tile: as many as meet in a corner."""


class WindowFiles:
    """The label maps of the cores of windows, in files of a folder.

    Args:
        folder: The folder, which its owner removes.
        grid: The windows.
    """

    def __init__(self, folder: Path, grid: WindowGrid) -> None:
        self.folder = folder
        self.grid = grid
        self._core = functools.lru_cache(_KEPT)(self._read)

    def add(self, window: Window, kind: str, labels: IntMap) -> None:
        """Writes the core of a window's label map.

        Args:
            window: The window.
            kind: What the labels are.
            labels: The labels (H, W) of the core.
        """
        np.savez_compressed(self._path(kind, window.row, window.column), labels=labels)

    def tiles(self, kind: str, ids: npt.NDArray[np.uint32] | None = None) -> Iterator[IntMap]:
        """The tiles of the image, row by row from the left, filled up with 0 beyond it.

        Args:
            kind: What the labels are.
            ids: The id that takes the place of each.
        """
        rows = self.grid.rows
        columns = self.grid.columns
        for top in range(0, self.grid.height, TILE):
            for left in range(0, self.grid.width, TILE):
                tile: IntMap = np.zeros((TILE, TILE), np.uint8 if ids is None else np.uint32)
                for row, down in _common(rows, top):
                    for column, right in _common(columns, left):
                        core = self._core(kind, row, column)
                        part = core[_inner(rows[row], down), _inner(columns[column], right)]
                        place = (
                            slice(down.start - top, down.stop - top),
                            slice(right.start - left, right.stop - left),
                        )
                        tile[place] = part if ids is None else ids[part]
                yield tile

    def _read(self, kind: str, row: int, column: int) -> IntMap:
        with np.load(self._path(kind, row, column), allow_pickle=False) as content:
            labels: IntMap = content["labels"]
            return labels

    def _path(self, kind: str, row: int, column: int) -> Path:
        return self.folder / f"{kind}-{row}-{column}.npz"


def _common(spans: list[Span], start: int) -> Iterator[tuple[int, slice]]:
    """The cores that have pixels in common with a side of a tile, with their number, and these pixels."""
    for number, span in enumerate(spans):
        first = max(span.first, start)
        last = min(span.last, start + TILE)
        if first < last:
            yield number, slice(first, last)


def _inner(span: Span, pixels: slice) -> slice:
    """Pixels of the image, counted from the begin of a core."""
    return slice(pixels.start - span.first, pixels.stop - span.first)
