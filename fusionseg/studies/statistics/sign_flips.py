"""The sign-flip permutation test of paired differences, exact."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIGN_FLIP_SEEDS = 6
"""From so many pairs on the test is made: fewer have no p-value below 0.05."""

MOST_SIGN_FLIPS = 40
"""Up to so many pairs the test is made: twice half of the signs, 2 x 2^20 sums, are held in memory."""


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """The two-sided p-value of the test that flipping the sign of any difference changes nothing.

    That holds where seed by seed it is by chance which of the two variants is better; nothing has to be
    normal. The p-value is the share of the 2^N sign patterns whose mean is at least as far from 0 as the one
    that was found, so it is a multiple of 2 / 2^N. All patterns count, none are drawn.

    >>> sign_flip_p([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    0.03125

    Args:
        differences: One for each pair.

    Returns:
        None below 6 differences, where no outcome has a p-value of at most 0.05, and above 40.
    """
    count = len(differences)
    if not SIGN_FLIP_SEEDS <= count <= MOST_SIGN_FLIPS:
        return None
    values = np.asarray(differences, np.float64)
    # sums of equal numbers in another order differ by rounding
    found = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if found <= 0:
        return 1.0
    # every pattern is one of the first half and one of the second
    first = np.sort(_signed_sums(values[: count // 2]))
    second = _signed_sums(values[count // 2 :])
    at_least = (len(first) - np.searchsorted(first, found - second, side="left")).sum()
    return min(1.0, int(at_least) * 2.0 ** (1 - count))


def least_p(seeds: int) -> float:
    """The smallest p-value that the sign-flip test can have: that of differences of one sign.

    >>> [least_p(seeds) for seeds in (5, 6, 7)]
    [0.0625, 0.03125, 0.015625]

    Args:
        seeds: The number of pairs.
    """
    return min(1.0, 2.0 ** (1 - seeds))


def _signed_sums(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The sums under all patterns of signs (2^N,)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums
