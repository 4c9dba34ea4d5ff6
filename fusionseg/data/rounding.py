"""Rounds fractional repeats of images at random, so that their sum is the same every time."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Repeats: TypeAlias = npt.NDArray[np.float64]
"""How often each of N images is wanted in an epoch, on average (N,); 0 or more."""

_SLACK = 1e-6
"""By how much a sum of fractions may be short of a whole number that rounding errors took from it."""


def rounded(repeats: Repeats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Whole numbers (N,) of repeats, each rounded up or down, up with the probability of its fraction.

    The fractions are rounded together, by systematic sampling in a random order (Madow, Annals of
    Mathematical Statistics 1949): their running sum passes as many whole numbers every time, so that epochs
    have equal lengths. Of a sum that is no whole number itself, what is left over is lost.

    >>> rounded(np.array([1.0, 2.0, 0.0]), np.random.default_rng(0))
    array([1, 2, 0])

    Args:
        repeats: How often each image is wanted, on average.
        rng: The only source of randomness.
    """
    whole = np.floor(repeats).astype(np.int64)
    places = rng.permutation(len(repeats))
    sums = np.cumsum((repeats - whole)[places])
    passed = int(sums[-1] + _SLACK) if len(sums) else 0
    if passed:
        marks = np.floor(sums * (passed / sums[-1]) + rng.random())
        marks[-1] = passed
        whole[places] += np.diff(marks, prepend=0).astype(np.int64)
    return whole
