"""Errors of depth and disparity, and the share of pixels that are within a factor of the true one."""

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Floats, ratio
from fusionseg.metrics.labeled_pixels import labeled_pixels
from fusionseg.sample import Counted, Truth

DEPTH_SUMS = ("pixels", "abs_error", "rel_error", "squared_error", "delta1", "delta2", "delta3")
"""The columns of `depth_sums`."""


class DepthMetrics(ImageMetric):
    """Absolute, relative and root mean squared error of depth, and the accuracies delta < 1.25^n.

    The figures are those of `depth_figures`: means over all valid pixels of a set of images.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import DepthMetrics
        >>> from fusionseg.sample import Truth
        >>> labels = np.zeros((1, 3), int)
        >>> metric = DepthMetrics()
        >>> truth = Truth(labels, labels, maps={"depth": np.array([[2.0, 4.0, 0.0]], np.float32)})
        >>> metric.update(np.array([[2.0, 5.5, 9.0]]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'depth_abs_error': 0.75, 'depth_rel_error': 0.188, 'depth_rmse': 1.061,
         'depth_delta1': 0.5, 'depth_delta2': 1.0, 'depth_delta3': 1.0}
    """

    answer = "depth"
    main = "depth_delta1"

    def __init__(self) -> None:
        super().__init__({self.answer: np.zeros(len(DEPTH_SUMS))})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`depth_sums` of one image; zeros where the truth has no such labels."""
        labels = truth.maps.get(self.answer)
        if labels is None:
            return {self.answer: np.zeros(len(DEPTH_SUMS))}
        return {self.answer: depth_sums(answer, labels, self.answer)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`depth_figures` of a set of images."""
        return depth_figures(sums[self.answer], self.answer)


class DisparityMetrics(DepthMetrics):
    """The same of disparity, in the unit of its labels: `disparity_abs_error` and so on.

    The accuracies are those of the depth that the disparity stands for, as a factor between two disparities
    is the one between their depths.
    """

    answer = "disparity"
    main = "disparity_delta1"


def depth_sums(
    prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], kind: str = "depth"
) -> Floats:
    """The sums of depth errors over the valid pixels of one image: `DEPTH_SUMS`, additive over images.

    `delta1` to `delta3` count the pixels with max(p / t, t / p) < 1.25, 1.25^2 and 1.25^3 for a prediction p
    and a truth t (Eigen et al., arXiv:1406.2283). A prediction of 0 or less is never among them: no factor
    leads from it to the truth. In the errors it counts as it is.

    Args:
        prediction: Depth or disparity (H, W); its values on invalid pixels do not matter.
        truth: The same of the labels, 0 where invalid.
        kind: What these are, for messages: `depth` or `disparity`.

    Raises:
        ValueError: If the sizes differ or the prediction is not finite on valid pixels.
    """
    p, t = labeled_pixels(prediction, truth, truth > 0, kind)
    error = np.abs(p - t)
    factor = np.divide(t, p, out=np.full(t.shape, np.inf), where=p > 0)
    factor = np.maximum(factor, p / t)
    within = [np.count_nonzero(factor < 1.25**n) for n in (1, 2, 3)]
    return np.array([p.size, error.sum(), (error / t).sum(), error @ error, *within], np.float64)


def depth_figures(sums: Floats, name: str = "depth") -> dict[str, float]:
    """The figures of a set of images: means over its valid pixels, NaN where there are none.

    `depth_abs_error` is the mean of |p - t| in the labels' unit (meters), `depth_rel_error` that of
    |p - t| / t, `depth_rmse` the root of the mean of (p - t)^2 in the labels' unit; smaller is better.
    `depth_delta1` to `depth_delta3` are the shares of pixels within a factor of 1.25, 1.25^2 and 1.25^3, in
    [0, 1].

    Args:
        sums: The sum of `depth_sums` over a set of images.
        name: How the figures' names begin.
    """
    pixels, absolute, relative, squared, *within = sums
    figures = {
        f"{name}_abs_error": float(ratio(absolute, pixels)),
        f"{name}_rel_error": float(ratio(relative, pixels)),
        f"{name}_rmse": float(np.sqrt(ratio(squared, pixels))),
    }
    return figures | {f"{name}_delta{n}": float(ratio(count, pixels)) for n, count in enumerate(within, 1)}
