"""The benchmarks of boundaries, regions and classes as torchmetrics metrics."""

from collections.abc import Iterable

import numpy as np

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.boundary_curve import (
    CURVE_COLUMNS,
    boundary_counts,
    boundary_curve_figures,
    even_thresholds,
    levels,
    own_best,
)
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.mean_ious import (
    SemanticTable,
    class_figures,
    mean_iou_figures,
    semantic_sums_of,
    semantic_table,
)
from fusionseg.metrics.region_curve import (
    RegionCurve,
    region_curve,
    region_curve_figures,
    region_curve_sums,
    ultrametric_partitions,
)
from fusionseg.metrics.thinning import Masks
from fusionseg.sample import VOID, Counted, Truth


class BoundaryBenchmark(ImageMetric):
    """ODS, OIS and average precision of boundaries, matched one to one as in the Berkeley benchmark.

    It takes a tenth of a second to a second for each image: to evaluate with, not to watch a training. The
    figures are those of `boundary_curve_figures`. All annotators of a truth count; their boundaries are those
    of their regions, two pixels wide where drawn ones are thinner.

    Args:
        thresholds: Number of thresholds, evenly from 0 to 1.
        max_distance: Largest distance of two matched pixels, as a fraction of the image's diagonal.

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

    def __init__(self, thresholds: int = 99, max_distance: float = 0.0075) -> None:
        shape = (thresholds, len(CURVE_COLUMNS))
        super().__init__({"curve": np.zeros(shape, np.int64), "own": np.zeros(shape[1:], np.int64)})
        self.thresholds = even_thresholds(thresholds)
        self.max_distance = max_distance

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """The counts of one image at all thresholds, and at the best one for it.

        Args:
            answer: A soft map in [0, 1], or region ids, whose boundaries are the same at all thresholds.
            truth: The labels of the image.
        """
        true = [boundaries(region, region != 0) for region in (truth.region, *truth.others) if region.any()]
        if not true:
            return {name: np.zeros_like(getattr(self, name).cpu().numpy()) for name in self.names}
        soft = np.issubdtype(answer.dtype, np.floating)
        predicted: Iterable[Masks] = levels(answer, self.thresholds)
        if not soft:
            predicted = [boundaries(answer, np.ones(answer.shape, bool))] * len(self.thresholds)
        counts = boundary_counts(predicted, true, self.max_distance * float(np.hypot(*answer.shape)))
        return {"curve": counts, "own": own_best(counts)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`boundary_curve_figures` of a set of images."""
        return boundary_curve_figures(sums["curve"], sums["own"], self.thresholds)


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
        ones = np.ones(thresholds)
        nothing = RegionCurve(*(np.zeros(()), ones, np.zeros(()), np.zeros(()), ones, ones, ones))
        super().__init__({name: np.zeros_like(v) for name, v in region_curve_sums(nothing).items()})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`region_curve_sums` of one image; zeros where nobody labeled a pixel.

        Args:
            answer: Region ids (H, W), the same at all thresholds, or an ultrametric map (2H + 1, 2W + 1).
            truth: The labels of the image.
        """
        truths = [region for region in (truth.region, *truth.others) if region.any()]
        if not truths:
            return {name: np.zeros_like(getattr(self, name).cpu().numpy()) for name in self.names}
        soft = np.issubdtype(answer.dtype, np.floating)
        partitions = ultrametric_partitions(answer, self.levels) if soft else [answer] * len(self.levels)
        return region_curve_sums(region_curve(partitions, truths))

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
        table = np.zeros((num_classes, num_classes + 1), np.int64)
        nothing = semantic_sums_of(SemanticTable(table, np.zeros((num_classes, 2), np.int64)))
        super().__init__(nothing)
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`semantic_sums_of` one image; a predicted `VOID` is no class."""
        maps = [np.where(ids == VOID, self.num_classes, ids) for ids in (answer, truth.semantic)]
        return semantic_sums_of(semantic_table(maps[0], maps[1], self.num_classes))

    def figures(self, sums: Counted) -> dict[str, float]:
        """`mean_iou_figures` of a set of images."""
        return mean_iou_figures(sums)

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """`class_figures`; NaN where there is nothing to divide by."""
        found = class_figures(sums["table"], sums["boundary"])
        return {name: values.tolist() for name, values in found.items()}
