"""The figures of LibMTL's examples: over the pixels of all images, of classes, depth and normals.

Lin and Zhang, JMLR 2023; `examples/nyu/utils.py` of `median-research-group/LibMTL`, commit be187ce, is the
definition, which the examples of NYUv2 and Cityscapes share. The means of batches of depth are weighted by
valid pixels there (lines 53 and 58), which makes them means over pixels.
"""

import numpy as np

from fusionseg.metrics.angles import ANGLE_SUMS, BINS, angle_figures, angle_histogram, angle_sums, angles_of
from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.contingency import Counts, ratio
from fusionseg.metrics.labeled_pixels import labeled_pixels
from fusionseg.sample import Counted, Truth


class LibMTLSemanticMetrics(ImageMetric):
    """Mean IoU and pixel accuracy over all pixels: `miou_libmtl` and `accuracy_libmtl`.

    `SegMetric`, lines 10 to 32. `miou_libmtl` is NaN, as there, where a class occurs neither in truth nor in
    prediction; otherwise it is `miou`. MTAN's repository has the same definition since commit db5681a
    (`ConfMatrix`, lines 84 to 102).

    Args:
        num_classes: Number of classes.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import LibMTLSemanticMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = LibMTLSemanticMetrics(num_classes=2)
        >>> for labels in ([[0, 0, 1, 255]], [[1, 1, 1, 1]]):
        ...     metric.update(np.array([[0, 1, 1, 0]]), Truth(np.array(labels), np.zeros((1, 4), int)))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'miou_libmtl': 0.375, 'accuracy_libmtl': 0.571}
    """

    answer = "semantic"

    def __init__(self, num_classes: int) -> None:
        super().__init__({"semantic_libmtl": np.zeros((num_classes, num_classes), np.int64)})
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """The confusion matrix of the image."""
        return {"semantic_libmtl": semantic_sums(answer, truth.semantic, self.num_classes)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`miou_libmtl` and `accuracy_libmtl`, in [0, 1]; NaN without labeled pixels."""
        table = sums["semantic_libmtl"]
        hits = table.diagonal()
        ious = ratio(hits, table.sum(0) + table.sum(1) - hits)
        return {"miou_libmtl": float(ious.mean()), "accuracy_libmtl": float(ratio(hits.sum(), table.sum()))}

    def occurrences(self, sums: Counted) -> Counts:
        """The number of true pixels of each class (C,)."""
        return sums["semantic_libmtl"].sum(1)  # type: ignore[no-any-return]


class LibMTLDepthMetrics(ImageMetric):
    """Absolute and relative error over all valid pixels: `depth_abs_error_libmtl`, `depth_rel_error_libmtl`.

    `DepthMetric`, lines 35 to 63: the means of |p - t| and |p - t| / t, as those of `DepthMetrics`.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import LibMTLDepthMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = LibMTLDepthMetrics()
        >>> for depth in ([[2.0, 4.0]], [[1.0, 0.0]]):
        ...     truth = Truth(np.zeros((1, 2), int), np.zeros((1, 2), int), maps={"depth": np.array(depth)})
        ...     metric.update(np.array([[2.0, 5.0]]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'depth_abs_error_libmtl': 0.667, 'depth_rel_error_libmtl': 0.417}
    """

    answer = "depth"

    def __init__(self) -> None:
        self.key = f"{self.answer}_libmtl"
        super().__init__({self.key: np.zeros(3)})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`depth_libmtl` (3,): the number of valid pixels, and the sums of both errors over them."""
        labels = truth.maps.get(self.answer, np.zeros_like(answer))
        p, t = labeled_pixels(answer, labels, labels > 0, self.answer)
        error = np.abs(p - t)
        return {self.key: np.array([t.size, error.sum(), (error / t).sum()])}

    def figures(self, sums: Counted) -> dict[str, float]:
        """The errors, in the labels' unit and as a share of the true value; NaN without valid pixels."""
        pixels, absolute, relative = sums[self.key]
        return {
            f"{self.answer}_abs_error_libmtl": float(ratio(absolute, pixels)),
            f"{self.answer}_rel_error_libmtl": float(ratio(relative, pixels)),
        }


class LibMTLDisparityMetrics(LibMTLDepthMetrics):
    """The same of disparity, the inverse depth of its Cityscapes: `disparity_abs_error_libmtl` ..."""

    answer = "disparity"


class LibMTLNormalsMetrics(ImageMetric):
    """Mean and median angle over all valid pixels, and shares within 11.25, 22.5 and 30 degrees.

    `NormalMetric`, lines 66 to 82: the angle is the arc cosine of the dot product of the normalized
    prediction and the label as it is, and a label whose three components add up to exactly 0 is not valid.
    The median is within 0.005 degrees of the exact one, for which sums are not enough. A zero vector is 90
    degrees off (there NaN).

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import LibMTLNormalsMetrics
        >>> from fusionseg.sample import Truth
        >>> labels, ahead = np.zeros((1, 1), int), np.array([[[0.0]], [[0.0]], [[1.0]]])
        >>> metric = LibMTLNormalsMetrics()
        >>> for predicted in (2 * ahead, ahead[::-1]):
        ...     metric.update(predicted, Truth(labels, labels, maps={"normals": ahead}))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'normals_mean_libmtl': 45.0, 'normals_median_libmtl': 45.005, 'normals_within_11_libmtl': 0.5,
         'normals_within_22_libmtl': 0.5, 'normals_within_30_libmtl': 0.5}
    """

    answer = "normals"

    def __init__(self) -> None:
        zeros = {"normals_libmtl": np.zeros(len(ANGLE_SUMS)), "angles_libmtl": np.zeros(BINS, np.int64)}
        super().__init__(zeros)

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`normals_libmtl`, the `angle_sums` of the image, and `angles_libmtl`, its `angle_histogram`."""
        labels = truth.maps.get("normals", np.zeros_like(answer))
        p, t = labeled_pixels(answer, labels, labels.sum(0) != 0, "normals")
        lengths = np.linalg.norm(p, axis=0)
        angles = angles_of((p / np.where(lengths > 0, lengths, 1) * t).sum(0))
        return {"normals_libmtl": angle_sums(angles), "angles_libmtl": angle_histogram(angles)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """Angles in degrees and shares in [0, 1]; NaN without valid pixels."""
        figures = angle_figures(sums["normals_libmtl"], sums["angles_libmtl"])
        return {f"normals_{name}_libmtl": value for name, value in figures.items()}
