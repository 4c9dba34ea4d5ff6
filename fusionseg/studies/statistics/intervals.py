"""Intervals of a mean (Student's t) and of a standard deviation (chi-square)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: The mean; NaN of no values.
        spread: The sample standard deviation (divided by `count - 1`); NaN below 2 values.
        low: The lower end of the interval; NaN below 2 values.
        high: The upper end of the interval; NaN below 2 values.
        count: How many values there are.
    """

    mean: float
    spread: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class SpreadInterval:
    """A standard deviation with its confidence interval.

    Attributes:
        spread: The sample standard deviation (divided by `count - 1`); NaN below 2 values.
        low: The lower end of the interval; NaN below 2 values.
        high: The upper end of the interval; NaN below 2 values.
        count: How many values there are.
    """

    spread: float
    low: float
    high: float
    count: int


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of independent, roughly normal values with Student's t interval.

    A value that is NaN makes mean, spread and interval NaN.

    >>> interval = mean_interval([0.70, 0.72, 0.74])
    >>> [round(number, 3) for number in (interval.mean, interval.spread, interval.low, interval.high)]
    [0.72, 0.02, 0.67, 0.77]

    Args:
        values: For example the figure of each seed.
        level: The share of such intervals that contain the true mean, in (0, 1).

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    check_level(level)
    count = len(values)
    mean = float(np.mean(values)) if count else math.nan
    spread = standard_deviation(values)
    if count < 2:
        return Interval(mean, spread, math.nan, math.nan, count)
    reach = float(special.stdtrit(count - 1, (1 + level) / 2)) * spread / math.sqrt(count)
    return Interval(mean, spread, mean - reach, mean + reach, count)


def spread_interval(values: Sequence[float], level: float = 0.95) -> SpreadInterval:
    """The standard deviation of independent normal values with its chi-square interval.

    >>> interval = spread_interval([-1.0, 0.0, 1.0])
    >>> [round(number, 2) for number in (interval.spread, interval.low, interval.high)]
    [1.0, 0.52, 6.28]

    Args:
        values: For example the differences of two variants, one of each seed.
        level: The share of such intervals that contain the true standard deviation, in (0, 1).

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    check_level(level)
    spread = standard_deviation(values)
    count = len(values)
    low = spread_bound(spread, count, (1 - level) / 2)
    high = spread_bound(spread, count, (1 + level) / 2)
    return SpreadInterval(spread, low, high, count)


def spread_bound(spread: float, count: int, level: float) -> float:
    """The bound below which the true standard deviation lies in a share of all samples.

    >>> round(spread_bound(1.0, count=3, level=0.8), 2)
    2.12

    Args:
        spread: The sample standard deviation of normal values.
        count: How many values it is of; below 2 the bound is NaN.
        level: The share, in (0, 1).

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    check_level(level)
    if count < 2:
        return math.nan
    return spread * math.sqrt((count - 1) / float(special.chdtri(count - 1, level)))


def standard_deviation(values: Sequence[float]) -> float:
    """The sample standard deviation (divided by the number of values less 1); NaN below 2 values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def check_level(level: float) -> None:
    """Refuses what is no probability.

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1 (such as 0.95), found {level}")
