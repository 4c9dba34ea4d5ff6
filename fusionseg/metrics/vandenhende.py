"""The figures of Vandenhende's survey: over the pixels of all images, of classes, depth and normals.

Vandenhende et al., TPAMI 2021; `evaluation/eval_semseg.py` and `eval_normals.py` at commit d16e10b and
`eval_depth.py` at 56815d5 of `SimonVandenhende/Multi-Task-Learning-PyTorch` are the definition, which goes
back to ASTMT (Maninis et al., CVPR 2019). Of the two in each file the one that scores files of predictions
counts, as `main.py` reports it. Its files hold normals in 8 bits, which is not repeated here, and its shares
of angles are in percent.
"""

import numpy as np

from fusionseg.metrics.angles import ANGLE_SUMS, BINS, angle_figures, angle_histogram, angle_sums, angles_of
from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.contingency import Counts, ratio
from fusionseg.metrics.labeled_pixels import labeled_pixels
from fusionseg.sample import Counted, Truth

SMALLEST = 1e-9
"""The depth that stands for predictions of 0 or less."""

SHORT = 1e-12
"""What is added to the length of a normal before it is divided by it."""


class VandenhendeSemanticMetrics(ImageMetric):
    """Mean IoU over all pixels, `miou_vandenhende`, in which a class that occurs nowhere counts as 0.

    `eval_semseg.py`, lines 34 to 76; human parts are scored by the same formula.

    Args:
        num_classes: Number of classes.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import VandenhendeSemanticMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = VandenhendeSemanticMetrics(num_classes=4)
        >>> metric.update(np.array([[0, 1, 1]]), Truth(np.array([[0, 1, 255]]), np.zeros((1, 3), int)))
        >>> {name: float(value) for name, value in metric.compute().items()}
        {'miou_vandenhende': 0.5}
    """

    answer = "semantic"

    def __init__(self, num_classes: int) -> None:
        super().__init__({"semantic_vandenhende": np.zeros((num_classes, num_classes), np.int64)})
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """The confusion matrix of the image."""
        return {"semantic_vandenhende": semantic_sums(answer, truth.semantic, self.num_classes)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`miou_vandenhende`, in [0, 1]; NaN without labeled pixels (there 0)."""
        table = sums["semantic_vandenhende"]
        hits = table.diagonal()
        union = table.sum(0) + table.sum(1) - hits
        ious = hits / np.maximum(union, 1)
        return {"miou_vandenhende": float(ious.mean()) if table.any() else float("nan")}

    def occurrences(self, sums: Counted) -> Counts:
        """The number of true pixels of each class (C,)."""
        return sums["semantic_vandenhende"].sum(1)  # type: ignore[no-any-return]


class VandenhendeDepthMetrics(ImageMetric):
    """Root mean squared error of depth and of its logarithm over all valid pixels.

    `eval_depth.py`, lines 18 to 54: a prediction of 0 or less counts as 1e-9 in both, in
    `depth_rmse_vandenhende` and in `depth_log_rmse_vandenhende` (natural logarithm).

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import VandenhendeDepthMetrics
        >>> from fusionseg.sample import Truth
        >>> labels = np.zeros((1, 3), int)
        >>> metric = VandenhendeDepthMetrics()
        >>> truth = Truth(labels, labels, maps={"depth": np.array([[2.0, 4.0, 0.0]])})
        >>> metric.update(np.array([[2.0, 5.0, 9.0]]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'depth_rmse_vandenhende': 0.707, 'depth_log_rmse_vandenhende': 0.158}
    """

    answer = "depth"

    def __init__(self) -> None:
        super().__init__({"depth_vandenhende": np.zeros(3)})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`depth_vandenhende` (3,): valid pixels, and the sums of squared errors of depth and logarithm."""
        labels = truth.maps.get("depth", np.zeros_like(answer))
        p, t = labeled_pixels(answer, labels, labels > 0, "depth")
        p = np.where(p > 0, p, SMALLEST)
        error = p - t
        logarithmic = np.log(p) - np.log(t)
        return {"depth_vandenhende": np.array([t.size, error @ error, logarithmic @ logarithmic])}

    def figures(self, sums: Counted) -> dict[str, float]:
        """The errors, in meters and of natural logarithms; NaN without valid pixels."""
        pixels, squared, logarithmic = sums["depth_vandenhende"]
        return {
            "depth_rmse_vandenhende": float(np.sqrt(ratio(squared, pixels))),
            "depth_log_rmse_vandenhende": float(np.sqrt(ratio(logarithmic, pixels))),
        }


class VandenhendeNormalsMetrics(ImageMetric):
    """Mean, median and root mean squared angle over all valid pixels, and shares within 11.25, 22.5 and 30.

    `eval_normals.py`, lines 18 to 64: prediction and label are divided by their lengths plus 1e-12. The
    median is within 0.005 degrees of the exact one, for which sums are not enough.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import VandenhendeNormalsMetrics
        >>> from fusionseg.sample import Truth
        >>> labels, ahead = np.zeros((1, 1), int), np.array([[[0.0]], [[0.0]], [[1.0]]])
        >>> metric = VandenhendeNormalsMetrics()
        >>> for predicted in (2 * ahead, ahead[::-1]):
        ...     metric.update(predicted, Truth(labels, labels, maps={"normals": 3 * ahead}))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'normals_mean_vandenhende': 45.0, 'normals_median_vandenhende': 45.005,
         'normals_within_11_vandenhende': 0.5, 'normals_within_22_vandenhende': 0.5,
         'normals_within_30_vandenhende': 0.5, 'normals_rmse_vandenhende': 63.64}
    """

    answer = "normals"

    def __init__(self) -> None:
        zeros = np.zeros(len(ANGLE_SUMS) + 1)
        super().__init__({"normals_vandenhende": zeros, "angles_vandenhende": np.zeros(BINS, np.int64)})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`normals_vandenhende`, `angle_sums` and that of squares, and `angles_vandenhende`, a histogram."""
        labels = truth.maps.get("normals", np.zeros_like(answer))
        p, t = labeled_pixels(answer, labels, (labels != 0).max(0), "normals")
        p /= np.linalg.norm(p, axis=0) + SHORT
        t /= np.linalg.norm(t, axis=0) + SHORT
        angles = angles_of((p * t).sum(0))
        added = np.append(angle_sums(angles), angles @ angles)
        return {"normals_vandenhende": added, "angles_vandenhende": angle_histogram(angles)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """Angles in degrees and shares in [0, 1]; NaN without valid pixels."""
        *added, squared = sums["normals_vandenhende"]
        figures = angle_figures(np.array(added), sums["angles_vandenhende"])
        figures["rmse"] = float(np.sqrt(ratio(squared, added[0])))
        return {f"normals_{name}_vandenhende": value for name, value in figures.items()}
