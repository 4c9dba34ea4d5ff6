"""Each variant against the reference, seed by seed, and what may be said about the difference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fusionseg.metrics.directions import lower_is_better
from fusionseg.studies.report.figures import split_of
from fusionseg.studies.report.question import Question
from fusionseg.studies.statistics import (
    BootstrapInterval,
    PairedTest,
    attainable,
    holm,
    paired,
    smallest_difference,
)

Verdict: TypeAlias = Literal["better", "worse", "open", "withheld"]

LEVEL = 0.05
"""The level of the family of tests."""

POWER = 0.8
"""How surely the smallest difference that is stated would be found."""


@dataclass(frozen=True)
class Comparison:
    """A variant against the reference by one figure.

    Attributes:
        variant: The variant.
        metric: The figure.
        test: The tests over seeds (variance of training).
        t_adjusted: The p-value of the paired t test after Holm's correction; None where it is withheld.
        flips_adjusted: That of the sign-flip test.
        images: The interval over images (variance of data), or why there is none.
        family: How many comparisons are judged together.
    """

    variant: str
    metric: str
    test: PairedTest
    t_adjusted: float | None
    flips_adjusted: float | None
    images: BootstrapInterval | str
    family: int

    @property
    def verdict(self) -> Verdict:
        """What the paired t test says after Holm's correction."""
        if self.t_adjusted is None:
            return "withheld"
        if self.t_adjusted > LEVEL:
            return "open"
        return "better" if (self.test.difference > 0) != lower_is_better(self.metric) else "worse"

    @property
    def significant(self) -> bool:
        """Whether there is a difference."""
        return self.verdict in ("better", "worse")

    @property
    def flips_attainable(self) -> bool:
        """Whether any outcome of the sign-flip test could be significant with so many seeds."""
        return attainable(self.family, len(self.test.seeds), LEVEL) if self.test.seeds else False

    @property
    def detectable(self) -> float:
        """The smallest true difference that the t test would have found in 8 of 10 studies like this one."""
        spread = self.test.interval.spread
        if self.t_adjusted is None or not spread > 0:
            return math.nan
        return smallest_difference(spread, len(self.test.seeds), POWER, LEVEL, self.family)


def comparisons(
    asked: Question, images: Mapping[tuple[str, str], BootstrapInterval | str]
) -> list[Comparison]:
    """All comparisons of a study, judged as one family; figure by figure, in the order of the variants.

    A variant is compared by the figures of the tasks that it and the reference train.

    Args:
        asked: The question.
        images: The intervals over images, by variant and figure.
    """
    results = asked.results
    pairs = compared(asked)
    tests = [
        paired(
            results.figures(variant, metric), results.figures(asked.reference, metric), planned=asked.seeds
        )
        for variant, metric in pairs
    ]
    by_t = holm([test.t_p for test in tests])
    by_flips = holm([test.sign_flip_p for test in tests])
    return [
        Comparison(variant, metric, test, t, flips, images[variant, metric], len(tests))
        for (variant, metric), test, t, flips in zip(pairs, tests, by_t, by_flips, strict=True)
    ]


def compared(asked: Question) -> list[tuple[str, str]]:
    """The variants, each with a figure, that are compared with the reference."""
    return [
        (variant, metric)
        for metric in asked.metrics
        for variant in asked.others
        if _comparable(asked, variant, metric)
    ]


def _comparable(asked: Question, variant: str, metric: str) -> bool:
    """Whether a figure compares two variants.

    Both train its task, or have no run yet that would show it; and all of their decoders are tuned, or none.
    """
    both = asked.tuned(variant, split_of(metric)) | asked.tuned(asked.reference, split_of(metric))
    return len(both) < 2 and all(
        asked.counts(name, metric) or not any(run.figures for run in asked.finished(name))
        for name in (variant, asked.reference)
    )
