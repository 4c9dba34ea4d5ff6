"""Metrics of every task: torchmetrics metrics whose states are additive sums of images."""

from fusionseg.metrics.base import ImageMetric
from fusionseg.metrics.boundary import BoundaryMetrics
from fusionseg.metrics.depth import DepthMetrics
from fusionseg.metrics.normals import NormalsMetrics
from fusionseg.metrics.panoptic import PanopticQuality
from fusionseg.metrics.regions import RegionMetrics
from fusionseg.metrics.scene import SceneMetrics
from fusionseg.metrics.semantic import FusedMetrics, SemanticMetrics
from fusionseg.metrics.suite import MetricSuite

__all__ = [
    "BoundaryMetrics",
    "DepthMetrics",
    "FusedMetrics",
    "ImageMetric",
    "MetricSuite",
    "NormalsMetrics",
    "PanopticQuality",
    "RegionMetrics",
    "SceneMetrics",
    "SemanticMetrics",
]
