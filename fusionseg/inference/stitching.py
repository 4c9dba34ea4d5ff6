"""Joins the regions of neighboring windows that are one in the image."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from fusionseg.sample import IntMap

Pairs = npt.NDArray[np.int64]
"""Ids of regions (N, 2) that are one."""


def joined_pairs(before: IntMap, behind: IntMap) -> Pairs:
    """The regions of two windows that are one: a pair for each two.

    A region of the one window and a region of the other are one if both windows see them cross the border at
    a place they share, and their common pixels are more than half of the smaller one's. So the arms of a
    region that meet in one of the windows only are joined, and regions that overlap by slivers, where the
    windows see a boundary at slightly different places, are not.

    >>> before = np.array([[1, 1, 2], [1, 1, 2], [1, 1, 2], [1, 1, 2]])
    >>> behind = np.array([[5, 6, 6], [5, 5, 6], [5, 5, 6], [5, 5, 6]])
    >>> joined_pairs(before, behind).tolist()
    [[1, 5], [2, 6]]

    Args:
        before: The ids (H, W) that the window above sees on a strip along the border, which lies between its
            two middle rows; 0 is no region. H is even.
        behind: Those that the window below sees of the same pixels.
    """
    middle = len(before) // 2
    seen = slice(middle - 1, middle + 1)
    crosses = (before[seen][0] == before[seen][1]) & (behind[seen][0] == behind[seen][1])
    crossing = np.stack([before[middle][crosses], behind[middle][crosses]], axis=1).astype(np.int64)
    if not crossing.size:
        return np.zeros((0, 2), np.int64)
    pairs, shared = np.unique(_codes(before, behind), return_counts=True)
    one, other = np.divmod(pairs, _BASE)
    least = np.minimum(_areas(before, one), _areas(behind, other))
    candidates = np.unique(crossing[:, 0] * _BASE + crossing[:, 1])
    joined = np.isin(pairs, candidates) & (2 * shared > least) & (one > 0) & (other > 0)
    return np.stack([one[joined], other[joined]], axis=1)


def joined_ids(pairs: Pairs, present: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.uint32]:
    """The id of each region after all that are one are joined, from 1 in the order of their first ids.

    >>> joined_ids(np.array([[1, 3], [3, 4]]), np.array([2, 3, 4]), 5).tolist()
    [0, 1, 2, 1, 1]

    Args:
        pairs: The regions that are one.
        present: The ids of which the image has pixels; what is joined to none of them has no id (0).
        count: The number of ids, 0 included, which is no region.
    """
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, component = connected_components(links, directed=False)
    has_pixels = np.zeros(count, bool)
    has_pixels[component[present]] = True
    kept, first = np.unique(component[1:], return_index=True)
    kept = kept[np.argsort(first)]
    kept = kept[has_pixels[kept]]
    number = np.zeros(count, np.uint32)
    number[kept] = np.arange(1, len(kept) + 1)
    ids: npt.NDArray[np.uint32] = number[component]
    ids[0] = 0
    return ids


_BASE = np.int64(2**32)
"""Ids have 32 bits."""


def _codes(one: IntMap, other: IntMap) -> npt.NDArray[np.int64]:
    """A number for each pair of ids."""
    codes: npt.NDArray[np.int64] = one.ravel().astype(np.int64) * _BASE + other.ravel()
    return codes


def _areas(region: IntMap, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The pixels of ids that all occur."""
    known, areas = np.unique(region, return_counts=True)
    found: npt.NDArray[np.int64] = areas[np.searchsorted(known, ids)]
    return found
