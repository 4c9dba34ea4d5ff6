"""Thinning of binary maps to lines one pixel wide, which keeps how they are connected."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.contingency import Counts

Masks = npt.NDArray[np.bool_]

AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""The eight neighbors as (down, right), counterclockwise from the one to the right."""


def thinned(maps: Masks) -> Masks:
    """The maps (N, H, W) thinned until nothing changes.

    The parallel algorithm with two subiterations of Guo and Hall (CACM 1989), which is MATLAB's
    `bwmorph(map, 'thin', inf)` and scikit-image's `thin`. After the first pass a pixel is looked at again
    only if a neighbor was removed.
    """
    count, height, width = maps.shape
    padded = np.zeros((count, height + 2, width + 2), np.uint8)
    padded[:, 1:-1, 1:-1] = maps
    flat = padded.reshape(-1)
    steps = np.array([down * (width + 2) + right for down, right in AROUND])
    pixels = np.flatnonzero(flat)
    pending = [pixels, pixels]
    while pending[0].size or pending[1].size:
        for turn, removable in enumerate(_removable()):
            gone = _removed(flat, pending[turn], steps, removable)
            near = _neighbors(flat, gone, steps)
            pending[turn] = near
            pending[1 - turn] = _distinct(np.concatenate([pending[1 - turn], near]))
    return padded[:, 1:-1, 1:-1].astype(bool)


def _removed(flat: npt.NDArray[np.uint8], pixels: Counts, steps: Counts, removable: Masks) -> Counts:
    """Removes those of the pixels that a subiteration removes, all at once, and returns them."""
    pixels = pixels[flat[pixels] > 0]
    code = np.zeros(pixels.size, np.uint8)
    for bit, step in enumerate(steps):
        code |= flat[pixels + step] << bit
    gone = pixels[removable[code]]
    flat[gone] = 0
    return gone


def _neighbors(flat: npt.NDArray[np.uint8], pixels: Counts, steps: Counts) -> Counts:
    """The pixels of the maps around some others."""
    around = (pixels[:, None] + steps).ravel()
    return _distinct(around[flat[around] > 0])


def _distinct(pixels: Counts) -> Counts:
    """Pixels without repetitions; `np.unique` takes ten times as long."""
    ordered = np.sort(pixels)
    return ordered[np.diff(ordered, prepend=-1) > 0]


@cache
def _removable() -> tuple[Masks, Masks]:
    """Which neighborhoods each subiteration removes, by an 8-bit code in the order of `AROUND`."""
    codes = [[code >> bit & 1 for bit in range(8)] for code in range(256)]
    first = np.array([_is_removable(code) for code in codes])
    # the second subiteration is the first turned by half
    second = np.array([_is_removable([*code[4:], *code[:4]]) for code in codes])
    return first, second


def _is_removable(x: Sequence[int]) -> bool:
    """Conditions G1, G2 and G3 of Guo and Hall for the neighbors x[0] to x[7] in the order of `AROUND`."""
    after = [*x, x[0]]
    crossings = sum(not after[i] and bool(after[i + 1] or after[i + 2]) for i in range(0, 8, 2))
    pairs = [sum(after[i + shift] | after[i + shift + 1] for i in range(0, 8, 2)) for shift in (0, 1)]
    return crossings == 1 and 2 <= min(pairs) <= 3 and not ((x[1] or x[2] or not x[7]) and x[0])
