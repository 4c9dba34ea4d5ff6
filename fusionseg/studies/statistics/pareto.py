"""The Pareto front of two objectives of which more is better, its hypervolume, and distances to it."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Points: TypeAlias = Sequence[Sequence[float]] | npt.NDArray[np.floating]
"""Points (N, 2)."""

Mask: TypeAlias = npt.NDArray[np.bool_]


def pareto_front(points: Points) -> Mask:
    """Which points no other dominates (N,): none is at least as good in both objectives and better in one.

    Equal points do not dominate each other, so all of them are on the front or none. A point that is not
    finite is not on it.

    >>> pareto_front([(1, 3), (2, 2), (2, 2), (1, 2), (3, 1)]).tolist()
    [True, True, True, False, True]

    Args:
        points: (N, 2), more is better.

    Raises:
        ValueError: If they are not of two objectives.
    """
    values = _pairs(points)
    known: Mask = np.all(np.isfinite(values), axis=1)
    at_least: Mask = np.all(values[:, None] >= values[None], axis=2)
    above: Mask = np.any(values[:, None] > values[None], axis=2)
    dominated: Mask = np.any(at_least & above & known[:, None], axis=0)
    return known & ~dominated


def hypervolume(points: Points, reference: Sequence[float]) -> float:
    """The area between a reference point and the front, exact.

    >>> hypervolume([(1, 3), (2, 2), (3, 1)], reference=(0, 0))
    6.0

    Args:
        points: (N, 2), more is better; those that are not better than the reference in both objectives add
            nothing.
        reference: The point (2,) that is worse than all of interest, such as (0, 0) for scores.

    Raises:
        ValueError: If they are not of two objectives.
    """
    steps = _steps(points)
    left, bottom = _pairs([reference])[0]
    steps = steps[(steps > (left, bottom)).all(1)]
    widths = np.diff(steps[:, 0], prepend=left)
    return float((widths * (steps[:, 1] - bottom)).sum())


def distance_to_front(point: Sequence[float], points: Points) -> float:
    """How far a point would have to move, in a straight line, to be dominated strictly by none of the others.

    0 for a point on the front or beyond it. Both objectives must be in the same unit.

    >>> front = [(1, 3), (2, 2), (3, 1)]
    >>> [distance_to_front(point, front) for point in [(2, 2), (1, 1.5), (1, 1)]]
    [0.0, 0.5, 1.0]

    Args:
        point: The point (2,).
        points: (N, 2), more is better; those that are not on their front do not matter.

    Raises:
        ValueError: If they are not of two objectives.
    """
    steps = _steps(points)
    right, up = np.maximum(steps - _pairs([point])[0], 0).T
    # it passes the first k steps in the first objective and the others in the second
    across = np.concatenate([[0.0], right])
    along = np.concatenate([up, [0.0]])
    return float(np.hypot(across, along).min())


def _steps(points: Points) -> npt.NDArray[np.float64]:
    """The different points of the front, by the first objective: the second one falls."""
    values = _pairs(points)
    return np.unique(values[pareto_front(values)], axis=0)


def _pairs(points: Points) -> npt.NDArray[np.float64]:
    """The points as an array (N, 2)."""
    values = np.asarray(points, np.float64)
    if values.size == 0:
        return np.empty((0, 2))
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(f"expected points of two objectives (N, 2), found an array of shape {values.shape}")
    return values
