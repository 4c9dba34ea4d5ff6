"""Two variants compared by the runs that share a seed."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fusionseg.studies.statistics.intervals import Interval, mean_interval
from fusionseg.studies.statistics.sign_flips import least_p, sign_flip_p
from fusionseg.studies.statistics.t_tests import correlation, correlation_p, paired_t_p, welch_p

CORRELATED = 0.05
"""Below this p-value of their correlation, the figures of two variants are held to be correlated by seed."""


@dataclass(frozen=True)
class PairedTest:
    """The difference of two variants over seeds, and whether it is more than the noise of training.

    The paired t test decides. The sign-flip test needs no normal differences, but more seeds. Welch's test is
    for information: choosing the smallest of several p-values makes all of them worthless.

    Attributes:
        difference: The mean difference a - b over the seeds that both have; NaN without any.
        interval: The same with spread and Student's t interval; its ends are NaN where tests are withheld.
        t_p: The p-value of the paired t test; None where it is withheld.
        sign_flip_p: The exact p-value of the sign-flip test; None below 6 seeds and where it is withheld.
        least_p: The smallest p-value that the sign-flip test can have with so many seeds.
        correlation: Pearson's correlation of the paired figures; NaN below 3 seeds or where one is constant.
        welch_p: The p-value of Welch's test where the correlation is not distinguishable from 0 (two-sided
            p >= 0.05, or NaN), so that pairing may cost power; None elsewhere and where tests are withheld.
        seeds: The seeds that both variants have, in order.
        missing: The seeds that one of them lacks, or whose figure is not finite, in order.
        differences: The difference of each of `seeds`.
        withheld: Why there is no t test; empty where there is one.
    """

    difference: float
    interval: Interval
    t_p: float | None
    sign_flip_p: float | None
    least_p: float
    correlation: float
    welch_p: float | None
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    differences: tuple[float, ...]
    withheld: str


def paired(
    a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95, planned: Collection[int] = ()
) -> PairedTest:
    """Compares two variants by the runs that share a seed.

    Where a seed is missing there are no tests and no interval: runs do not fail by chance, and those that are
    left would look better than the variant is.

    >>> test = paired({0: 0.74, 1: 0.71, 2: 0.75}, {0: 0.72, 1: 0.70, 2: 0.72})
    >>> round(test.difference, 3), round(test.t_p, 3), round(test.correlation, 3), test.sign_flip_p
    (0.02, 0.074, 0.971, None)

    Args:
        a: The figure of each seed of one variant.
        b: The figure of each seed of the other, the reference.
        level: The level of the interval, in (0, 1).
        planned: The seeds of the study, so that one that both lack is reported too.

    Raises:
        ValueError: If the level is not between 0 and 1.
    """
    every = sorted({*a, *b, *planned})
    seeds = tuple(seed for seed in every if _has(a, seed) and _has(b, seed))
    missing = tuple(seed for seed in every if seed not in seeds)
    values = [a[seed] for seed in seeds]
    references = [b[seed] for seed in seeds]
    differences = tuple(value - reference for value, reference in zip(values, references, strict=True))
    noise = 1e-12 * float(np.max(np.abs([values, references]), initial=0))
    agreement = correlation(values, references, noise)
    interval = mean_interval(differences, level)
    t_p = None if missing else paired_t_p(differences, noise)
    uncorrelated = correlation_p(agreement, len(seeds)) >= CORRELATED
    return PairedTest(
        difference=interval.mean,
        interval=replace(interval, low=math.nan, high=math.nan) if t_p is None else interval,
        t_p=t_p,
        sign_flip_p=None if missing else sign_flip_p(differences),
        least_p=least_p(len(seeds)),
        correlation=agreement,
        welch_p=welch_p(values, references, noise) if uncorrelated and not missing else None,
        seeds=seeds,
        missing=missing,
        differences=differences,
        withheld=_reason(missing, len(seeds)) if t_p is None else "",
    )


def _has(figures: Mapping[int, float], seed: int) -> bool:
    return seed in figures and math.isfinite(figures[seed])


def _reason(missing: tuple[int, ...], count: int) -> str:
    """Why there is no t test."""
    if missing:
        listed = ", ".join(map(str, missing))
        return f"no test: {'seed' if len(missing) == 1 else 'seeds'} {listed} missing"
    if count < 2:
        return f"no test: {count} {'seed' if count == 1 else 'seeds'}, of at least 2"
    return "no t test: the difference is the same for every seed"
