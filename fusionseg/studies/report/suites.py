"""The metrics that the sums of an evaluation are of, so that their figures can be computed of any images."""

from collections.abc import Collection, Mapping, Sequence

from fusionseg.metrics import (
    BoundaryMetrics,
    DepthMetrics,
    DisparityMetrics,
    FusedMetrics,
    InverseDepthMetrics,
    MetricSuite,
    NormalsMetrics,
    OffsetMetrics,
    PanopticQuality,
    RegionMetrics,
    SceneMetrics,
    SemanticMetrics,
)
from fusionseg.metrics.base import ImageMetric
from fusionseg.studies.report.score_parts import MAIN

OF_PARTS = {"miou": "semantic", "covering": "region"}
"""The sums that the main figures are of."""


def suite_of_sums(
    shapes: Mapping[str, tuple[int, ...]],
    things: Sequence[int] | None = None,
    parts: Collection[str] = (),
) -> MetricSuite:
    """The metrics of the sums of an evaluation.

    Args:
        shapes: The shape of each sum.
        things: The ids of the countable classes; without them there is no panoptic quality.
        parts: The figures that the score is made of, `miou` or `covering` or both; all that are measured
            where left out.
    """
    number = shapes[_of_classes(shapes)][0] if _of_classes(shapes) else 0
    made: dict[str, ImageMetric | None] = {
        "semantic": SemanticMetrics(max(1, number)),
        "region": RegionMetrics(),
        "boundary": BoundaryMetrics(),
        "fused": FusedMetrics(max(1, number)),
        "panoptic": None if things is None else PanopticQuality(max(1, number), things),
        "scene": SceneMetrics(max(1, number)),
        "depth": DepthMetrics(),
        "inverse_depth": InverseDepthMetrics(),
        "disparity": DisparityMetrics(),
        "offsets": OffsetMetrics(),
        "normals": NormalsMetrics(),
    }
    metrics = [metric for metric in made.values() if metric is not None and set(metric.names) <= set(shapes)]
    untrained = [OF_PARTS[name] for name in MAIN if parts and name not in parts]
    return MetricSuite(metrics, untrained)


def _of_classes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A sum whose first axis is that of the classes; empty without any."""
    return next((name for name in ("semantic", "fused", "panoptic", "scene") if name in shapes), "")
