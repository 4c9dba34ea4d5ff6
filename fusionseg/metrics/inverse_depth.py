"""The mean absolute error of inverse depth, which near pixels decide."""

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Floats, ratio
from fusionseg.metrics.labeled_pixels import labeled_pixels
from fusionseg.sample import Counted, Truth

INVERSE_DEPTH_SUMS = ("pixels", "error")
"""The columns of `inverse_depth_sums`."""

NEAREST = 1e-3
"""The least depth in meters; what is predicted nearer counts as so far, as in `losses.InverseDepthError`."""


class InverseDepthMetrics(ImageMetric):
    """Mean absolute error of the inverse of depth, `inverse_depth_error` in 1/m, over all valid pixels.

    This is the inverse depth mean error of Kendall et al. (CVPR 2018, arXiv:1705.07115, table 1) where labels
    are meters. Where they are disparity, an inverse depth in pixels, it is `disparity_abs_error` of
    `DisparityMetrics`.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import InverseDepthMetrics
        >>> from fusionseg.sample import Truth
        >>> labels = np.zeros((1, 3), int)
        >>> metric = InverseDepthMetrics()
        >>> truth = Truth(labels, labels, maps={"depth": np.array([[2.0, 4.0, 0.0]], np.float32)})
        >>> metric.update(np.array([[1.0, 8.0, 5.0]]), truth)
        >>> metric.compute()["inverse_depth_error"].item()
        0.3125
    """

    answer = "depth"

    def __init__(self) -> None:
        super().__init__({"inverse_depth": np.zeros(len(INVERSE_DEPTH_SUMS))})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`inverse_depth_sums` of one image; zeros where the truth has no depth."""
        depth = truth.maps.get("depth")
        return {"inverse_depth": np.zeros(2) if depth is None else inverse_depth_sums(answer, depth)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`inverse_depth_error` of a set of images, in 1/m; NaN where no pixel is valid."""
        pixels, error = sums["inverse_depth"]
        return {"inverse_depth_error": float(ratio(error, pixels))}


def inverse_depth_sums(prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> Floats:
    """The sums of one image, `INVERSE_DEPTH_SUMS`: its valid pixels, and their |1 / p - 1 / t| in 1/m.

    Args:
        prediction: Depth (H, W) in meters; its values on invalid pixels do not matter.
        truth: The same of the labels, 0 where invalid.

    Raises:
        ValueError: If the sizes differ or the prediction is not finite on valid pixels.
    """
    p, t = labeled_pixels(prediction, truth, truth > 0, "depth")
    error = np.abs(1 / p.clip(NEAREST) - 1 / t.clip(NEAREST))
    return np.array([p.size, error.sum()], np.float64)
