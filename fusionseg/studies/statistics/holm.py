"""Holm's correction for several comparisons, and what it leaves within reach of so many seeds."""

from collections.abc import Sequence
from itertools import count as counting

from fusionseg.studies.statistics.intervals import check_level
from fusionseg.studies.statistics.sign_flips import SIGN_FLIP_SEEDS, least_p


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values (Holm 1979), for the family-wise error.

    The k-th smallest of m p-values is multiplied by m - k + 1 and is never less than the one before. Where no
    comparison differs, at most 5 % of families have an adjusted p-value of at most 0.05, however the
    comparisons depend on each other, also through a reference that they share.

    A withheld test (None) stays None but counts: m is the length of the list. The comparison was planned, and
    a run that failed must not make the others significant. It is as if its p-value were 1.

    >>> holm([0.01, 0.04, 0.03, None])
    [0.04, 0.09, 0.09, None]

    Args:
        p_values: The p-values of all comparisons that are judged together, in [0, 1].

    Raises:
        ValueError: If something is no p-value.
    """
    for value in p_values:
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"expected p-values in [0, 1], or None for withheld tests, found {value}")
    known = sorted((value, position) for position, value in enumerate(p_values) if value is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, position) in enumerate(known):
        largest = max(largest, min(1.0, (len(p_values) - rank) * value))
        adjusted[position] = largest
    return adjusted


def attainable(count: int, seeds: int, level: float = 0.05) -> bool:
    """Whether any outcome of the sign-flip test could be significant after Holm's correction.

    If not even the smallest p-value is at most level / count, Holm's first step rejects nothing, whatever the
    runs show. The paired t test has no such limit: its p-values are continuous from 2 seeds on.

    >>> attainable(count=1, seeds=6), attainable(count=2, seeds=6)
    (True, False)

    Args:
        count: The number of comparisons that are judged together.
        seeds: The number of pairs in each of them.
        level: The level of the family, in (0, 1).

    Raises:
        ValueError: If there are no comparisons, or the level is not between 0 and 1.
    """
    _check(count, level)
    return seeds >= SIGN_FLIP_SEEDS and least_p(seeds) * count <= level


def seeds_needed(count: int, level: float = 0.05) -> int:
    """The smallest number of seeds with which the sign-flip test could show anything after Holm's correction.

    >>> [seeds_needed(count) for count in (1, 2, 4, 10)]
    [6, 7, 8, 9]

    Args:
        count: The number of comparisons that are judged together.
        level: The level of the family, in (0, 1).

    Raises:
        ValueError: If there are no comparisons, or the level is not between 0 and 1.
    """
    _check(count, level)
    return next(seeds for seeds in counting(SIGN_FLIP_SEEDS) if attainable(count, seeds, level))


def _check(count: int, level: float) -> None:
    check_level(level)
    if count < 1:
        raise ValueError(f"expected at least one comparison, found {count}")
