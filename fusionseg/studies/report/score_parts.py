"""Which tasks a run's score is made of: scores of different tasks are not comparable."""

import itertools
import math
from collections.abc import Mapping

MAIN = ("miou", "covering")
"""The figures that `MetricSuite.figures` makes the score of, where they count."""

SEMANTIC = ("miou", "accuracy", "mean_accuracy", "f1", "precision", "recall", "iou")
REGION = ("covering", "voi", "rand_error", "boundary")
BOTH = ("miou_fused", "accuracy_fused", "iou_fused", "pq", "sq", "rq")
"""The figures of classes, and how those of regions and of both begin."""

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


def needed_parts(figure: str) -> frozenset[str]:
    """The main figures of the tasks that a figure is of: one that is not trained is measured all the same.

    >>> [sorted(needed_parts(figure)) for figure in ("f1", "voi_split", "pq_things", "depth_rmse")]
    [['miou'], ['covering'], ['covering', 'miou'], []]

    Args:
        figure: The name of the figure without its split, or of a figure of each class.
    """
    if figure.startswith(BOTH):
        return frozenset(MAIN)
    if figure in SEMANTIC:
        return frozenset(MAIN[:1])
    return frozenset(MAIN[1:]) if figure.startswith(REGION) else frozenset()
