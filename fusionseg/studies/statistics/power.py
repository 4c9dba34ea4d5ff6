"""How many seeds a difference needs: the power of the paired t test."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from fusionseg.studies.statistics.intervals import check_level, spread_bound, standard_deviation

UPPER = 0.8
"""The level of the upper bound of the spread that a plan reckons with besides the estimate."""

# of Gauss and Legendre's quadrature on [-1, 1]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(100)


@dataclass(frozen=True)
class PlannedSeeds:
    """What a number of seeds could show.

    Attributes:
        seeds: The number of seeds of each variant.
        power: The probability that the test finds the difference, if the spread is as estimated.
        power_at_upper_spread: The same at the upper 80 % bound of the spread: in 8 of 10 pilots the true
            power is at least this.
    """

    seeds: int
    power: float
    power_at_upper_spread: float


def plan(
    differences: Sequence[float],
    effect: float,
    level: float = 0.05,
    seeds: Iterable[int] = range(3, 21),
    comparisons: int = 1,
) -> list[PlannedSeeds]:
    """The power of the paired t test for numbers of seeds, from the differences so far or a pilot of 3.

    Only the spread of the differences enters, not their mean: a difference that a pilot happens to show is no
    basis for a plan.

    >>> for planned in plan([0.010, 0.030, 0.020], effect=0.02, seeds=(3, 5, 10)):
    ...     print(planned.seeds, round(planned.power, 2), round(planned.power_at_upper_spread, 2))
    3 0.47 0.17
    5 0.91 0.37
    10 1.0 0.76

    Args:
        differences: The differences of two variants, one of each seed.
        effect: The difference that the study shall find, in the same unit; its sign does not matter.
        level: The level of the test, in (0, 1).
        seeds: The numbers of seeds to plan with.
        comparisons: How many comparisons Holm's correction judges together; each gets its share of the level,
            which is Holm's first and hardest step.

    Raises:
        ValueError: If there are fewer than 2 differences, one is not finite, or another argument is out of
            range.
    """
    if len(differences) < 2 or not np.isfinite(differences).all():
        raise ValueError(
            f"expected the finite differences of at least 2 seeds, found {list(differences)}: run a pilot "
            "of 3 seeds"
        )
    spread = standard_deviation(differences)
    upper = spread_bound(spread, len(differences), UPPER)
    return [
        PlannedSeeds(
            number,
            paired_power(effect, spread, number, level, comparisons),
            paired_power(effect, upper, number, level, comparisons),
        )
        for number in seeds
    ]


def paired_power(
    effect: float, spread: float, seeds: int, level: float = 0.05, comparisons: int = 1
) -> float:
    """The probability that the two-sided paired t test finds a difference (noncentral t distribution).

    >>> round(paired_power(effect=0.02, spread=0.02, seeds=10), 3)
    0.803

    Args:
        effect: The true mean of the differences.
        spread: Their true standard deviation; without any, every difference is found.
        seeds: The number of seeds, at least 2.
        level: The level of the test, in (0, 1).
        comparisons: How many comparisons share the level.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_level(level)
    if seeds < 2 or comparisons < 1 or not spread >= 0 or not math.isfinite(effect):
        raise ValueError(
            "expected a finite effect, a spread of at least 0, 2 or more seeds and 1 or more comparisons, "
            f"found effect {effect}, spread {spread}, seeds {seeds}, comparisons {comparisons}"
        )
    share = level / comparisons
    if spread == 0:
        return share if effect == 0 else 1.0
    freedom = seeds - 1
    critical = float(special.stdtrit(freedom, 1 - share / 2))
    shift = abs(effect) / spread * math.sqrt(seeds)
    return _share_beyond(critical, freedom, shift)


def smallest_difference(
    spread: float, seeds: int, power: float = 0.8, level: float = 0.05, comparisons: int = 1
) -> float:
    """The smallest true difference that the paired t test finds with a probability.

    >>> round(smallest_difference(spread=0.02, seeds=5), 3)
    0.034

    Args:
        spread: The standard deviation of the differences.
        seeds: The number of seeds, at least 2.
        power: The probability, above the level's share and below 1.
        level: The level of the test, in (0, 1).
        comparisons: How many comparisons share the level.

    Raises:
        ValueError: If an argument is out of range.
    """
    low = 0.0
    if not paired_power(low, spread, seeds, level, comparisons) < power < 1:
        raise ValueError(f"expected a power between the level and 1 (such as 0.8), found {power}")
    high = 1.0
    while paired_power(high, 1.0, seeds, level, comparisons) < power:
        high *= 2
    # the power depends on the difference in units of the spread only, and rises with it
    for _ in range(60):
        middle = (low + high) / 2
        if paired_power(middle, 1.0, seeds, level, comparisons) < power:
            low = middle
        else:
            high = middle
    return high * spread


def _share_beyond(critical: float, freedom: int, shift: float) -> float:
    """The probability that a noncentral t lies farther from 0 than a critical value.

    t is `(Z + shift) / sqrt(X / freedom)`, with Z normal and X chi-square: the distribution function of X is
    integrated over the size of the numerator. `scipy.special.nctdtr` is NaN for many a large shift.
    """
    start = max(-9.0, -shift)
    half = (9 - start) / 2
    normal = start + half * (1 + _NODES)
    density = np.exp(-(normal**2) / 2) + np.exp(-((normal + 2 * shift) ** 2) / 2)
    beyond = special.chdtr(freedom, freedom * ((normal + shift) / critical) ** 2)
    share = half / math.sqrt(2 * math.pi) * float((_WEIGHTS * density * beyond).sum())
    return min(1.0, share)
