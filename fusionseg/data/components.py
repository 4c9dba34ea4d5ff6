"""Connected components of a class map."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fusionseg.config.errors import UserError
from fusionseg.sample import VOID, IntMap

REGION = "a connected component of a class"
"""What a region is where nobody labeled regions, as `Classes.region` says it."""


def components(semantic: IntMap, min_area: int = 1) -> npt.NDArray[np.uint16]:
    """The 4-connected components of every class, numbered from 1 in the order of their first pixels.

    Args:
        semantic: Class ids (H, W), `VOID` where unlabeled.
        min_area: Components of fewer pixels become 0, like void.

    Raises:
        UserError: There are more than 65535 components.
    """
    # Label maps consist of long horizontal runs, so runs of neighboring lines are joined instead of pixels.
    starts = np.ones(semantic.shape, bool)
    np.not_equal(semantic[:, 1:], semantic[:, :-1], out=starts[:, 1:])
    run = starts.cumsum(dtype=np.int32) - 1
    first = np.flatnonzero(starts)
    length = np.diff(first, append=starts.size)
    # Two runs overlap from where the later one begins; one link for each pair is enough.
    below = np.flatnonzero((semantic[1:] == semantic[:-1]) & (starts[1:] | starts[:-1])) + semantic.shape[1]
    links = coo_array(
        (np.ones(below.size, bool), (run[below - semantic.shape[1]], run[below])), 2 * first.shape
    )
    _, component = connected_components(links, directed=False)
    kept = np.bincount(component, length) >= min_area
    kept[component[semantic.ravel()[first] == VOID]] = False
    numbers = np.where(kept, kept.cumsum(), 0)
    if numbers.max(initial=0) > np.iinfo(np.uint16).max:
        raise UserError(
            f"{numbers.max()} components do not fit into 16 bits: raise min_area above {min_area} pixels"
        )
    return np.repeat(numbers.astype(np.uint16)[component], length).reshape(semantic.shape)
