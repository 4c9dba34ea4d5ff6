"""Student's paired t test, Welch's test and the test of a correlation, two-sided."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fusionseg.studies.statistics.intervals import standard_deviation


def paired_t_p(differences: Sequence[float], noise: float = 0.0) -> float | None:
    """The p-value of Student's t test that the mean of the differences is 0.

    Assumes that the differences are independent and normal; from about ten on it hardly matters.

    >>> round(paired_t_p([0.01, 0.03, 0.02]), 4)
    0.0742

    Args:
        differences: One for each pair.
        noise: Differences that differ by less than this are equal, such as by rounding.

    Returns:
        None where there is no spread to compare the mean with: below 2 differences, or where all are equal.
        1 where all of them are 0.
    """
    if len(differences) < 2:
        return None
    if float(np.ptp(differences)) <= noise:
        return 1.0 if float(np.max(np.abs(differences))) <= noise else None
    count = len(differences)
    t = float(np.mean(differences)) * math.sqrt(count) / standard_deviation(differences)
    return two_sided(t, count - 1)


def welch_p(a: Sequence[float], b: Sequence[float], noise: float = 0.0) -> float | None:
    """The p-value of Welch's test that two independent samples have the same mean.

    Assumes normal values, but neither pairs nor equal spreads (Welch 1947).

    >>> round(welch_p([0.71, 0.73, 0.72], [0.70, 0.69, 0.70]), 3)
    0.036

    Args:
        a: The values of one sample.
        b: The values of the other.
        noise: Values that differ by less than this are equal, such as by rounding.

    Returns:
        None below 2 values in either sample, and where neither has a spread.
    """
    if min(len(a), len(b)) < 2 or max(float(np.ptp(a)), float(np.ptp(b))) <= noise:
        return None
    a_part = standard_deviation(a) ** 2 / len(a)
    b_part = standard_deviation(b) ** 2 / len(b)
    t = (float(np.mean(a)) - float(np.mean(b))) / math.sqrt(a_part + b_part)
    freedom = (a_part + b_part) ** 2 / (a_part**2 / (len(a) - 1) + b_part**2 / (len(b) - 1))
    return two_sided(t, freedom)


def correlation(a: Sequence[float], b: Sequence[float], noise: float = 0.0) -> float:
    """Pearson's correlation of paired values, in [-1, 1].

    >>> round(correlation([1.0, 2.0, 3.0], [2.0, 1.0, 3.0]), 3)
    0.5

    Args:
        a: The first value of each pair.
        b: The second value of each pair.
        noise: Values that differ by less than this are equal, such as by rounding.

    Returns:
        NaN below 3 pairs (two always lie on a line), and where one side is constant.
    """
    if len(a) < 3 or min(float(np.ptp(a)), float(np.ptp(b))) <= noise:
        return math.nan
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def correlation_p(value: float, count: int) -> float:
    """The p-value of the test that normal pairs are not correlated.

    >>> round(correlation_p(0.878, 5), 2)
    0.05

    Args:
        value: Their correlation, in [-1, 1].
        count: The number of pairs.

    Returns:
        1 where the correlation is NaN, since then there is none to speak of.
    """
    if math.isnan(value):
        return 1.0
    if abs(value) == 1:
        return 0.0
    return two_sided(value * math.sqrt((count - 2) / (1 - value**2)), count - 2)


def two_sided(t: float, freedom: float) -> float:
    """The probability of a t at least as far from 0 under Student's distribution."""
    return 2 * float(special.stdtr(freedom, -abs(t)))
