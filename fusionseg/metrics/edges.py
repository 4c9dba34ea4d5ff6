"""Where the boundaries of a partition are."""

import numpy as np
import numpy.typing as npt

from fusionseg.sample import IntMap


def boundaries(labels: IntMap, labeled: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Labeled pixels with another label than a labeled neighbor to the right, below or below to the right."""
    height, width = labels.shape
    edges = np.zeros((height, width), bool)
    for down, right in ((0, 1), (1, 0), (1, 1)):
        here = slice(0, height - down), slice(0, width - right)
        there = slice(down, height), slice(right, width)
        edges[here] |= (labels[here] != labels[there]) & labeled[here] & labeled[there]
    return edges


def two_sided(labels: IntMap, labeled: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Labeled pixels with another label than a labeled neighbor above, below, left or right."""
    edges = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        first, second = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        cut = (labels[first] != labels[second]) & labeled[first] & labeled[second]
        edges[first] |= cut
        edges[second] |= cut
    return edges
