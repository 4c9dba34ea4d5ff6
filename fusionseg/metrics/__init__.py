"""Metrics of every task: torchmetrics metrics whose states are additive sums of images."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusionseg.metrics.base import ImageMetric
    from fusionseg.metrics.benchmarks import BoundaryBenchmark, RegionBenchmark, SemanticBenchmark
    from fusionseg.metrics.boundary import BoundaryMetrics
    from fusionseg.metrics.boundary_calibration import BoundaryCalibration
    from fusionseg.metrics.boundary_rules import BoundaryRules
    from fusionseg.metrics.calibration import ClassCalibration
    from fusionseg.metrics.depth import DepthMetrics, DisparityMetrics
    from fusionseg.metrics.instance_precision import InstancePrecision
    from fusionseg.metrics.instance_scores import InstanceScores
    from fusionseg.metrics.inverse_depth import InverseDepthMetrics
    from fusionseg.metrics.libmtl import (
        LibMTLDepthMetrics,
        LibMTLDisparityMetrics,
        LibMTLNormalsMetrics,
        LibMTLSemanticMetrics,
    )
    from fusionseg.metrics.mtan import (
        MTANDepthMetrics,
        MTANDisparityMetrics,
        MTANNormalsMetrics,
        MTANSemanticMetrics,
    )
    from fusionseg.metrics.normals import NormalsMetrics
    from fusionseg.metrics.offsets import OffsetMetrics
    from fusionseg.metrics.panoptic import PanopticQuality
    from fusionseg.metrics.regions import RegionMetrics
    from fusionseg.metrics.scene import SceneMetrics
    from fusionseg.metrics.semantic import FusedMetrics, SemanticMetrics
    from fusionseg.metrics.suite import MetricSuite
    from fusionseg.metrics.vandenhende import (
        VandenhendeDepthMetrics,
        VandenhendeNormalsMetrics,
        VandenhendeSemanticMetrics,
    )

__all__ = [
    "BoundaryBenchmark",
    "BoundaryCalibration",
    "BoundaryMetrics",
    "BoundaryRules",
    "ClassCalibration",
    "DepthMetrics",
    "DisparityMetrics",
    "FusedMetrics",
    "ImageMetric",
    "InstancePrecision",
    "InstanceScores",
    "InverseDepthMetrics",
    "LibMTLDepthMetrics",
    "LibMTLDisparityMetrics",
    "LibMTLNormalsMetrics",
    "LibMTLSemanticMetrics",
    "MTANDepthMetrics",
    "MTANDisparityMetrics",
    "MTANNormalsMetrics",
    "MTANSemanticMetrics",
    "MetricSuite",
    "NormalsMetrics",
    "OffsetMetrics",
    "PanopticQuality",
    "RegionBenchmark",
    "RegionMetrics",
    "SceneMetrics",
    "SemanticBenchmark",
    "SemanticMetrics",
    "VandenhendeDepthMetrics",
    "VandenhendeNormalsMetrics",
    "VandenhendeSemanticMetrics",
]

_HOMES = {
    "BoundaryBenchmark": "benchmarks",
    "BoundaryCalibration": "boundary_calibration",
    "BoundaryMetrics": "boundary",
    "BoundaryRules": "boundary_rules",
    "ClassCalibration": "calibration",
    "DepthMetrics": "depth",
    "DisparityMetrics": "depth",
    "FusedMetrics": "semantic",
    "ImageMetric": "base",
    "InverseDepthMetrics": "inverse_depth",
    "InstancePrecision": "instance_precision",
    "InstanceScores": "instance_scores",
    "LibMTLDepthMetrics": "libmtl",
    "LibMTLDisparityMetrics": "libmtl",
    "LibMTLNormalsMetrics": "libmtl",
    "LibMTLSemanticMetrics": "libmtl",
    "MTANDepthMetrics": "mtan",
    "MTANDisparityMetrics": "mtan",
    "MTANNormalsMetrics": "mtan",
    "MTANSemanticMetrics": "mtan",
    "MetricSuite": "suite",
    "NormalsMetrics": "normals",
    "OffsetMetrics": "offsets",
    "PanopticQuality": "panoptic",
    "RegionBenchmark": "benchmarks",
    "RegionMetrics": "regions",
    "SceneMetrics": "scene",
    "SemanticBenchmark": "benchmarks",
    "SemanticMetrics": "semantic",
    "VandenhendeDepthMetrics": "vandenhende",
    "VandenhendeNormalsMetrics": "vandenhende",
    "VandenhendeSemanticMetrics": "vandenhende",
}


def __getattr__(name: str) -> Any:
    """Imported on demand, so that official scores are computed without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
