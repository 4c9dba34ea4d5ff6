"""Which tasks a run's score is made of: scores of different tasks are not comparable."""

import itertools
import math
from collections.abc import Mapping

MAIN = ("miou", "covering")
"""The figures that `MetricSuite.figures` makes the score of, where they count."""

ROUNDING = 1e-6
"""Figures may come from a `summary.json`, in single precision."""


def score_parts(figures: Mapping[str, float], split: str) -> frozenset[str]:
    """The main figures whose geometric mean the score of a run is.

    A figure may be measured and not count, because its task has no weight, so the numbers decide.

    >>> sorted(score_parts({"val/miou": 0.5, "val/covering": 0.72, "val/score": 0.6}, "val"))
    ['covering', 'miou']
    >>> sorted(score_parts({"val/miou": 0.5, "val/covering": 0.72, "val/score": 0.5}, "val"))
    ['miou']

    Args:
        figures: The figures of the run by `split/name`.
        split: The split.

    Returns:
        Their names without the split; empty where the score is made of something else.
    """
    score = figures.get(f"{split}/score", math.nan)
    known = {name: figures[f"{split}/{name}"] for name in MAIN if f"{split}/{name}" in figures}
    # all of them first, should both be equal
    for number in range(len(known), 0, -1):
        for names in itertools.combinations(known, number):
            values = [known[name] for name in names]
            if min(values) >= 0 and abs(math.prod(values) ** (1 / number) - score) < ROUNDING:
                return frozenset(names)
    return frozenset()
