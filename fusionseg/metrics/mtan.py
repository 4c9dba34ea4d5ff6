"""The figures of the MTAN paper: means over images, of classes, depth or disparity, and normals.

Liu et al., arXiv:1803.10704; `im2im_pred/utils.py` of the authors' repository `lorenmt/mtan`, commit 1342634,
lines 35 to 97, is the definition. There each figure is one of a batch of the test loader, of 2 images, and
the mean over batches is reported (line 180). Here a batch is one image, because additive sums cannot tell
which images shared a batch. For larger batches of one size the figures of classes are the same. So are the
errors of depth, the mean angle and the shares, where the images of a batch have equally many valid pixels;
but the median angle of a batch is not the mean of its images' medians.

Since commit db5681a the repository pools the pixels of all images for the figures of classes (lines 84 to
102): those are `LibMTLSemanticMetrics`.
"""

import numpy as np

from fusionseg.metrics.angles import WITHIN, angle_sums, angles_of
from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.contingency import Floats, mean, ratio
from fusionseg.metrics.labeled_pixels import labeled_pixels
from fusionseg.sample import Counted, Truth


class MTANSemanticMetrics(ImageMetric):
    """Mean IoU and pixel accuracy of each image, averaged over images: `miou_mtan`, `accuracy_mtan`.

    The IoU of an image is the mean over the classes that it has in truth or prediction (`compute_miou`, lines
    35 to 63; `compute_iou`, lines 66 to 79, is the accuracy). Void pixels count nowhere.

    Args:
        num_classes: Number of classes.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import MTANSemanticMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = MTANSemanticMetrics(num_classes=3)
        >>> for labels in ([[0, 0, 1, 255]], [[2, 2, 2, 2]]):
        ...     metric.update(np.array([[0, 1, 1, 0]]), Truth(np.array(labels), np.zeros((1, 4), int)))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'miou_mtan': 0.25, 'accuracy_mtan': 0.333}
    """

    answer = "semantic"

    def __init__(self, num_classes: int) -> None:
        super().__init__({"semantic_mtan": np.zeros(3)})
        self.num_classes = num_classes

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`semantic_mtan` (3,): 1, the mean IoU and the accuracy of the image; zeros without labels."""
        table = semantic_sums(answer, truth.semantic, self.num_classes)
        if not table.any():
            return {"semantic_mtan": np.zeros(3)}
        hits = table.diagonal()
        ious = ratio(hits, table.sum(0) + table.sum(1) - hits)
        return {"semantic_mtan": np.array([1, mean(ious), hits.sum() / table.sum()])}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`miou_mtan` and `accuracy_mtan`, in [0, 1]; NaN where no image has labels."""
        return _over_images(sums["semantic_mtan"], ("miou_mtan", "accuracy_mtan"))


class MTANDepthMetrics(ImageMetric):
    """Absolute and relative error of each image, averaged over images.

    `depth_abs_error_mtan` and `depth_rel_error_mtan`: |p - t| and |p - t| / t are averaged over the valid
    pixels of the image (`depth_error`, lines 82 to 90).

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import MTANDepthMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = MTANDepthMetrics()
        >>> for depth in ([[2.0, 4.0]], [[1.0, 0.0]]):
        ...     truth = Truth(np.zeros((1, 2), int), np.zeros((1, 2), int), maps={"depth": np.array(depth)})
        ...     metric.update(np.array([[2.0, 5.0]]), truth)
        >>> {name: round(float(value), 4) for name, value in metric.compute().items()}
        {'depth_abs_error_mtan': 0.75, 'depth_rel_error_mtan': 0.5625}
    """

    answer = "depth"

    def __init__(self) -> None:
        self.key = f"{self.answer}_mtan"
        super().__init__({self.key: np.zeros(3)})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`depth_mtan` (3,): 1, the absolute and the relative error of the image; zeros without labels."""
        labels = truth.maps.get(self.answer, np.zeros_like(answer))
        valid = labels > 0
        if not valid.any():
            return {self.key: np.zeros(3)}
        p, t = labeled_pixels(answer, labels, valid, self.answer)
        error = np.abs(p - t)
        return {self.key: np.array([1, error.mean(), (error / t).mean()])}

    def figures(self, sums: Counted) -> dict[str, float]:
        """The errors, in the labels' unit and as a share of the true value; NaN where no image has labels."""
        names = (f"{self.answer}_abs_error_mtan", f"{self.answer}_rel_error_mtan")
        return _over_images(sums[self.key], names)


class MTANDisparityMetrics(MTANDepthMetrics):
    """The same of disparity, the inverse depth of the paper's Cityscapes: `disparity_abs_error_mtan` ..."""

    answer = "disparity"


class MTANNormalsMetrics(ImageMetric):
    """Mean and median angle and shares within 11.25, 22.5 and 30 degrees of each image, averaged over images.

    The angle is the arc cosine of the dot product of prediction and label, neither of which is normalized:
    the paper's network gives unit vectors, as `NormalsHead` does. A label whose three components add up to
    exactly 0 is not valid, whatever its length (`normal_error`, lines 93 to 97).

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import MTANNormalsMetrics
        >>> from fusionseg.sample import Truth
        >>> labels, ahead = np.zeros((1, 1), int), np.array([[[0.0]], [[0.0]], [[1.0]]])
        >>> metric = MTANNormalsMetrics()
        >>> for predicted in (ahead, ahead[::-1]):
        ...     metric.update(predicted, Truth(labels, labels, maps={"normals": ahead}))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'normals_mean_mtan': 45.0, 'normals_median_mtan': 45.0, 'normals_within_11_mtan': 0.5,
         'normals_within_22_mtan': 0.5, 'normals_within_30_mtan': 0.5}
    """

    answer = "normals"

    def __init__(self) -> None:
        super().__init__({"normals_mtan": np.zeros(6)})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`normals_mtan` (6,): 1 and the figures of the image; zeros without labels."""
        labels = truth.maps.get("normals", np.zeros_like(answer))
        valid = labels.sum(0) != 0
        if not valid.any():
            return {"normals_mtan": np.zeros(6)}
        p, t = labeled_pixels(answer, labels, valid, "normals")
        angles = angles_of((p * t).sum(0))
        pixels, added, *within = angle_sums(angles)
        means = [added / pixels, np.median(angles), *(count / pixels for count in within)]
        return {"normals_mtan": np.array([1, *means])}

    def figures(self, sums: Counted) -> dict[str, float]:
        """Angles in degrees and shares in [0, 1]; NaN where no image has labels."""
        names = tuple(f"normals_{name}_mtan" for name in ("mean", "median", *WITHIN))
        return _over_images(sums["normals_mtan"], names)


def _over_images(sums: Floats, names: tuple[str, ...]) -> dict[str, float]:
    """The means over images of figures, from the number of images and the figures' sums."""
    images, *added = sums
    return {name: float(ratio(value, images)) for name, value in zip(names, added, strict=True)}
