"""Outlines of masks in COCO's instances format: polygons, and run lengths of masks with holes."""

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.files.atomic import Json
from fusionseg.sample import Array

Mask = npt.NDArray[np.bool_]
"""A mask (h, w)."""


def segmentation(mask: Mask, left: int, top: int, size: tuple[int, int]) -> list[list[int]] | Json:
    """The `segmentation` of an annotation in COCO's instances format, which holds the very pixels of a mask.

    Polygons run along the edges of pixels, where pixel (x, y) covers [x, x + 1) x [y, y + 1), as COCO's own
    code fills them: one for each 8-connected part. They cannot hold holes, so that a mask with a hole is the
    object of run lengths that COCO has for crowds.

    >>> segmentation(np.ones((2, 3), bool), 10, 20, (100, 100))
    [[10, 20, 10, 22, 13, 22, 13, 20]]
    >>> segmentation(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool), 0, 0, (3, 4))
    {'size': [3, 4], 'counts': [0, 4, 1, 4, 3]}

    Args:
        mask: The mask, of one pixel or more, and nothing but its box.
        left: The column of the box in the image.
        top: The row of the box in the image.
        size: Height and width of the image.

    Returns:
        Polygons [x, y, x, y ...] without a repeated first point, or `size` (height, width) and `counts`, the
        lengths of runs of pixels outside and inside in turns, column by column.
    """
    # of twice the size, so that the border has both edges of each pixel
    doubled = mask.repeat(2, 0).repeat(2, 1).astype(np.uint8)
    borders, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if (tree[0, :, 3] >= 0).any():  # a border within another one
        return _run_lengths(mask, left, top, size)
    corner = np.array([left, top])
    return [(_corners(border[:, 0]) + corner).ravel().tolist() for border in borders]


def _corners(border: Array) -> npt.NDArray[np.int64]:
    """The corners (N, 2) of the pixels along a border of pixels of half their size, without those between."""
    points = (border.astype(np.int64) + 1) // 2
    points = points[(points != np.roll(points, 1, 0)).any(1)]
    before = points - np.roll(points, 1, 0)
    after = np.roll(points, -1, 0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners: npt.NDArray[np.int64] = points[turns]
    return corners


def _run_lengths(mask: Mask, left: int, top: int, size: tuple[int, int]) -> Json:
    """The run lengths of a mask in an image."""
    whole = np.zeros(size, bool)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    pixels = np.concatenate([[False], whole.ravel("F")])
    starts = np.flatnonzero(pixels[1:] != pixels[:-1])
    counts = np.diff(np.concatenate([[0], starts, [whole.size]]))
    return {"size": list(size), "counts": counts.tolist()}
