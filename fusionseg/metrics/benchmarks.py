"""The benchmarks of boundaries, regions and classes as torchmetrics metrics."""

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.benchmark_sums import (
    boundary_benchmark_figures,
    boundary_benchmark_sums,
    no_boundary_benchmark_sums,
    no_semantic_benchmark_sums,
    region_benchmark_sums,
    semantic_benchmark_sums,
)
from fusionseg.metrics.boundary_curve import even_thresholds
from fusionseg.metrics.boundary_rules import BERKELEY, BoundaryRules
from fusionseg.metrics.mean_ious import class_figures, mean_iou_figures
from fusionseg.metrics.region_curve import region_curve_figures
from fusionseg.sample import Counted, Truth


class BoundaryBenchmark(ImageMetric):
    """ODS, OIS and average precision of boundaries, matched one to one as in the Berkeley benchmark.

    It takes a tenth of a second to a second for each image: to evaluate with, not to watch a training. The
    figures are those of `boundary_benchmark_figures`. All annotators of a truth count; their boundaries are
    those of their regions, thinned, as BSDS500 has drawn them.

    Args:
        thresholds: Number of thresholds, evenly from 0 to 1.
        rules: How maps are prepared and matched, such as `BoundaryRules(nms=True, max_distance=0.011)`. The
            suppression is always computed, for the crispness.

    Raises:
        UserError: If an argument is out of its range.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import BoundaryBenchmark
        >>> from fusionseg.sample import Truth
        >>> metric = BoundaryBenchmark(thresholds=3)
        >>> truth = Truth(semantic=np.zeros((1, 6), int), region=np.array([[1, 1, 1, 2, 2, 2]]))
        >>> metric.update(np.array([[0.0, 0.0, 0.9, 0.0, 0.3, 0.0]]), truth)
        >>> {name: round(float(metric.compute()[name]), 3) for name in ("ods", "ods_threshold")}
        {'ods': 1.0, 'ods_threshold': 0.5}
    """

    answer = "region"

    def __init__(self, thresholds: int = 99, rules: BoundaryRules = BERKELEY) -> None:
        if not isinstance(rules, BoundaryRules):
            raise UserError(f"expected rules of boundaries, found {rules}: BoundaryRules(max_distance=0.011)")
        even = even_thresholds(thresholds)
        super().__init__(no_boundary_benchmark_sums(thresholds))
        self.thresholds = even
        self.rules = rules

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`boundary_benchmark_sums` of one image.

        Args:
            answer: A soft map in [0, 1], boundary pixels (bool) or region ids (integers).
            truth: The labels of the image.
        """
        return boundary_benchmark_sums(answer, truth, self.thresholds, self.rules)

    def figures(self, sums: Counted) -> dict[str, float]:
        """`boundary_benchmark_figures` of a set of images."""
        return boundary_benchmark_figures(sums, self.thresholds)


class RegionBenchmark(ImageMetric):
    """Covering, probabilistic Rand index and variation of information over thresholds of a contour map.

    The figures are those of `region_curve_figures`. All annotators of a truth count.

    Args:
        thresholds: Number of thresholds, evenly from 0 to 1.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import RegionBenchmark
        >>> from fusionseg.sample import Truth
        >>> metric = RegionBenchmark(thresholds=3)
        >>> truth = Truth(semantic=np.zeros((1, 4), int), region=np.array([[1, 1, 2, 2]]))
        >>> metric.update(np.array([[1, 1, 1, 2]]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items() if "ods" in name[-3:]}
        {'covering_ods': 0.583, 'pri_ods': 0.5, 'vi_ods': 1.189}
    """

    answer = "region"

    def __init__(self, thresholds: int = 99) -> None:
        self.levels = even_thresholds(thresholds)
        unlabeled = Truth(np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32))
        super().__init__(region_benchmark_sums(unlabeled.region, unlabeled, self.levels))

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`region_curve_sums` of one image; zeros where nobody labeled a pixel.

        Args:
            answer: Region ids (H, W), the same at all thresholds, or an ultrametric map (2H + 1, 2W + 1).
            truth: The labels of the image.
        """
        return region_benchmark_sums(answer, truth, self.levels)

    def figures(self, sums: Counted) -> dict[str, float]:
        """`region_curve_figures` of a set of images."""
        return region_curve_figures(sums, self.levels)


class SemanticBenchmark(ImageMetric):
    """Mean IoU by every definition in use, accuracies, Dice and Boundary IoU of a semantic segmentation.

    The figures are those of `mean_iou_figures`.

    Args:
        num_classes: Number of classes.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import SemanticBenchmark
        >>> from fusionseg.sample import Truth
        >>> metric = SemanticBenchmark(num_classes=3)
        >>> truth = Truth(semantic=np.array([[0, 0, 1, 255]]), region=np.zeros((1, 4), int))
        >>> metric.update(np.array([[0, 1, 1, 0]]), truth)
        >>> figures = metric.compute()
        >>> [round(float(figures[name]), 3) for name in ("miou", "miou_absent_zero", "miou_absent_one")]
        [0.5, 0.333, 0.667]
    """

    answer = "semantic"
    main = "miou"

    def __init__(self, num_classes: int) -> None:
        super().__init__(no_semantic_benchmark_sums(num_classes))
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`semantic_sums_of` one image; a predicted `VOID` is no class."""
        return semantic_benchmark_sums(answer, truth.semantic, self.num_classes)

    def figures(self, sums: Counted) -> dict[str, float]:
        """`mean_iou_figures` of a set of images."""
        return mean_iou_figures(sums)

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """`class_figures`; NaN where there is nothing to divide by."""
        found = class_figures(sums["table"], sums["boundary"])
        return {name: values.tolist() for name, values in found.items()}
