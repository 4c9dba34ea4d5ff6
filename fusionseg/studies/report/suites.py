"""The metrics that the sums of an evaluation are of, so that their figures can be computed of any images."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import fusionseg.metrics as public
from fusionseg.metrics import MetricSuite
from fusionseg.metrics.base import ImageMetric
from fusionseg.studies.report.score_parts import MAIN

OF_PARTS = {"miou": "semantic", "covering": "region"}
"""The sums that the main figures are of."""


def suite_of_sums(
    shapes: Mapping[str, tuple[int, ...]],
    things: Sequence[int] | None = None,
    parts: Collection[str] = (),
) -> MetricSuite:
    """The metrics of the sums of an evaluation, of all metrics of the package.

    Args:
        shapes: The shape of each sum.
        things: The ids of the countable classes; without them there is no panoptic quality.
        parts: The figures that the score is made of, `miou` or `covering` or both; all that are measured
            where left out.
    """
    number = shapes[_of_classes(shapes)][0] if _of_classes(shapes) else 0
    known: dict[str, Any] = {"num_classes": max(1, number), "single": "scene_top5" in shapes}
    if things is not None:
        known["things"] = things
    every = (_made(getattr(public, name), known) for name in public.__all__)
    metrics = [metric for metric in every if metric is not None and set(metric.names) <= set(shapes)]
    untrained = [OF_PARTS[name] for name in MAIN if parts and name not in parts]
    return MetricSuite(metrics, untrained)


def _made(kind: Any, known: Mapping[str, Any]) -> ImageMetric | None:
    """A metric with the arguments that are known; None where it needs others, or is the base or a suite."""
    if not issubclass(kind, ImageMetric) or inspect.isabstract(kind):
        return None
    arguments = inspect.signature(kind).parameters
    if any(one.default is one.empty and name not in known for name, one in arguments.items()):
        return None
    made: ImageMetric = kind(**{name: value for name, value in known.items() if name in arguments})
    return made


def _of_classes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A sum whose first axis is that of the classes; empty without any."""
    return next((name for name in ("semantic", "fused", "panoptic", "scene") if name in shapes), "")
