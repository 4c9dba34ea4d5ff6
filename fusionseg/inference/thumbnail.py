"""A small picture of a large image under the colors of its answer, made part by part."""

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.inference.window_grid import Window, WindowGrid
from fusionseg.sample import OFFSET, VOID, Classes, IntMap, Picture
from fusionseg.visualize import overlay, panoptic_colors, region_colors

LONGEST = 2000
"""The longest side of the picture in pixels."""


class Thumbnail:
    """An overlay whose pixels stand for squares of the image: their mean color, and the label in the middle.

    Args:
        grid: The windows of the image.

    Attributes:
        step: The side of a square in pixels of the image.
    """

    def __init__(self, grid: WindowGrid) -> None:
        self.step = -(-max(grid.height, grid.width) // LONGEST)
        self._middles = [_middles(side, self.step) for side in (grid.height, grid.width)]
        size = [len(middles) for middles in self._middles]
        self._picture = np.zeros((*size, 3), np.uint8)
        self._semantic: IntMap | None = None
        self._region: IntMap | None = None

    def add(self, window: Window, picture: Picture, semantic: IntMap | None, region: IntMap | None) -> None:
        """Adds the core of a window.

        Args:
            window: The window.
            picture: What it shows (H, W, 3), RGB.
            semantic: Its class ids (H, W).
            region: Its region ids (H, W).
        """
        places, corners, ends = [], [], []
        for middles, span in zip(self._middles, (window.rows, window.columns), strict=True):
            first, last = np.searchsorted(middles, [span.first, span.last]).tolist()
            places.append(slice(first, last))
            corners.append(max(first * self.step - span.begin, 0))
            ends.append(last * self.step - span.begin)
        down, right = places
        if down.start == down.stop or right.start == right.stop:
            return
        squares = picture[corners[0] : ends[0], corners[1] : ends[1]]
        size = (right.stop - right.start, down.stop - down.start)
        self._picture[down, right] = cv2.resize(squares, size, interpolation=cv2.INTER_AREA)
        where = np.ix_(
            self._middles[0][down] - window.rows.begin, self._middles[1][right] - window.columns.begin
        )
        if semantic is not None:
            if self._semantic is None:
                self._semantic = np.full(self._picture.shape[:2], VOID, np.uint8)
            self._semantic[down, right] = semantic[where]
        if region is not None:
            if self._region is None:
                self._region = np.zeros(self._picture.shape[:2], np.uint32)
            self._region[down, right] = region[where]

    def overlay(self, classes: Classes, ids: npt.NDArray[np.uint32] | None) -> Picture:
        """The picture under colors: of classes, whose things differ by region, or of regions.

        Args:
            classes: The classes.
            ids: The region id that takes the place of each.
        """
        region = np.zeros(self._picture.shape[:2], np.int64)
        if self._region is not None and ids is not None:
            region = ids[self._region].astype(np.int64)
        if self._semantic is None:
            return overlay(self._picture, region_colors(region))
        semantic = self._semantic.astype(np.int64)
        # ids that are 65536 apart have one shade
        instance = np.where(np.isin(semantic, classes.things), region % OFFSET, 0)
        panoptic = np.where(semantic == VOID, -1, semantic * OFFSET + instance)
        return overlay(self._picture, panoptic_colors(panoptic, classes))


def _middles(side: int, step: int) -> npt.NDArray[np.int64]:
    """The middle pixels of the squares along a side."""
    return np.minimum(np.arange(0, side, step) + step // 2, side - 1)
