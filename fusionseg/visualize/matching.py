"""Gives predicted segments the ids of the true ones that they overlap with, so that colors agree."""

from collections.abc import Collection, Iterator
from itertools import count

import numpy as np
import numpy.typing as npt

from fusionseg.sample import OFFSET, IntMap


def matched(prediction: IntMap, truth: IntMap) -> npt.NDArray[np.int64]:
    """The prediction (H, W) with the ids of the true segments that its own match.

    Pairs of one class match in the order of their intersection over union, each segment once. What matches
    nothing gets the smallest numbers that no true segment of its class has. Void and stuff, of instance 0,
    stay as they are.

    >>> matched(np.array([[7, 7, 7, 8, 9]]), np.array([[1, 1, 2, 2, 0]]))
    array([[1, 1, 1, 2, 3]])

    Args:
        prediction: Region ids, or panoptic ids (class * `OFFSET` + instance, -1 where void).
        truth: Ids of the same kind; region ids are 0 where unlabelled.
    """
    ids, index, areas = np.unique(prediction.astype(np.int64), return_inverse=True, return_counts=True)
    true_ids, true_index, true_areas = np.unique(
        truth.astype(np.int64), return_inverse=True, return_counts=True
    )
    pairs, common = np.unique(index.ravel() * true_ids.size + true_index.ravel(), return_counts=True)
    place, true_place = np.divmod(pairs, true_ids.size)
    iou = common / (areas[place] + true_areas[true_place] - common)
    alike = ids[place] // OFFSET == true_ids[true_place] // OFFSET
    alike &= _is_instance(ids)[place] & _is_instance(true_ids)[true_place]
    candidates = np.flatnonzero(alike)
    new: dict[int, int] = {}
    taken: set[int] = set()
    for pair in candidates[np.argsort(-iou[candidates], kind="stable")].tolist():
        own = int(place[pair])
        true = int(true_ids[true_place[pair]])
        if own not in new and true not in taken:
            new[own] = true
            taken.add(true)
    free = {group: _free(group, set(true_ids.tolist())) for group in set((ids // OFFSET).tolist())}
    for own in np.flatnonzero(_is_instance(ids)).tolist():
        if own not in new:
            new[own] = next(free[int(ids[own]) // OFFSET])
    ids[list(new)] = list(new.values())
    return ids[index.reshape(prediction.shape)]


def _is_instance(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which ids are neither void nor stuff."""
    return (ids >= 0) & (ids % OFFSET > 0)


def _free(group: int, known: Collection[int]) -> Iterator[int]:
    """The ids of a class that are not known, in rising order."""
    return (number for number in count(group * OFFSET + 1) if number not in known)
