"""What neighboring windows see along the borders of their cores."""

import numpy as np

from fusionseg.inference.stitching import Pairs, joined_pairs
from fusionseg.inference.window_grid import Window, WindowGrid
from fusionseg.sample import IntMap


class Seams:
    """Finds the regions that are one in two windows, as windows come row by row.

    It keeps what windows see near the borders to those that are still to come: a strip below each window of
    one row, and one to the right of a window.

    Args:
        grid: The windows.
    """

    def __init__(self, grid: WindowGrid) -> None:
        self.grid = grid
        self._rows = grid.rows
        self._columns = grid.columns
        self._right: IntMap | None = None
        self._below: dict[int, IntMap] = {}
        self._pairs: list[Pairs] = [np.zeros((0, 2), np.int64)]

    def add(self, window: Window, region: IntMap) -> None:
        """Compares a window with its neighbors to the left and above.

        Args:
            window: The window.
            region: Its region ids (H, W), which no other window has; 0 is no region.
        """
        rows, columns = window.core
        if self._right is not None and window.column:
            strip = self._strip(region.T, window.columns.begin, window.columns.first, rows)
            self._pairs.append(joined_pairs(self._right, strip))
        if window.row:
            strip = self._strip(region, window.rows.begin, window.rows.first, columns)
            self._pairs.append(joined_pairs(self._below[window.column], strip))
        if window.column + 1 < len(self._columns):
            self._right = self._strip(region.T, window.columns.begin, window.columns.last, rows)
        if window.row + 1 < len(self._rows):
            self._below[window.column] = self._strip(region, window.rows.begin, window.rows.last, columns)

    def pairs(self) -> Pairs:
        """The ids that are one (N, 2)."""
        return np.concatenate(self._pairs)

    def _strip(self, region: IntMap, begin: int, border: int, along: slice) -> IntMap:
        """The ids on both sides of a border, which lies between two rows, along the core."""
        middle = border - begin
        return region[middle - self.grid.margin : middle + self.grid.margin, along].copy()
