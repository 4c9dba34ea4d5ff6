"""What is measured of a model beside the metrics of its heads, such as the figures that a paper defines."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import fusionseg.metrics as public
from fusionseg.engine.evaluation import suite_for
from fusionseg.engine.tasks import sized
from fusionseg.heads import Head
from fusionseg.metrics import ImageMetric, MetricSuite
from fusionseg.sample import Classes

MetricRecipe: TypeAlias = Callable[[int], ImageMetric]
"""Makes a metric; of the number of classes, if its constructor begins with an argument `num_classes`."""

NAMED = [getattr(public, name) for name in public.__all__]
"""All metrics, which are imported when asked for: the command line knows the names of what is imported."""


def suite_with(
    further: Sequence[MetricRecipe], heads: Mapping[str, Head], weights: Mapping[str, float], classes: Classes
) -> MetricSuite:
    """The metrics of a set of heads (`suite_for`), and further ones.

    Args:
        further: Recipes of further metrics.
        heads: The head of each task.
        weights: The weight of each task's loss.
        classes: The classes of the data.

    Raises:
        ValueError: If one is of what no head predicts, or measured already.
    """
    suite = suite_for(heads, weights, classes)
    extras = (name for head in heads.values() for name in head.extras)
    predicted = {*heads, *extras, *(metric.answer for metric in suite)}
    made = [sized(recipe, len(classes))() for recipe in further]
    for metric in made:
        if metric.answer not in predicted:
            raise ValueError(
                f"expected further metrics of what heads predict ({', '.join(sorted(heads))}), found "
                f"{type(metric).__name__}, which is of {metric.answer}: leave it out, or add a head"
            )
    return MetricSuite([*suite, *made], suite.untrained)
