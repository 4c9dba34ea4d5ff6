"""Angles between predicted and true surface normals: mean, median and shares below thresholds."""

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Counts, ratio
from fusionseg.sample import Counted, Truth

NORMALS_SUMS = ("pixels", "angle", "within_11", "within_22", "within_30")
"""The columns of `normals` in `normals_sums`."""

LIMITS = (11.25, 22.5, 30.0)
"""The angles in degrees below which a normal counts as right."""

BINS_PER_DEGREE = 100
"""The resolution of the histogram of angles, from which the median comes."""

BINS = 180 * BINS_PER_DEGREE
"""Number of bins of the histogram of angles in [0, 180] degrees."""


class NormalsMetrics(ImageMetric):
    """Mean and median angle between predicted and true normals, and shares within 11.25, 22.5 and 30 degrees.

    The figures are those of `normals_figures`: over all valid pixels of a set of images.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import NormalsMetrics
        >>> from fusionseg.sample import Truth
        >>> labels = np.zeros((1, 3), int)
        >>> ahead, right = [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]
        >>> true = np.array([[ahead, ahead, ahead]], np.float32).transpose(2, 0, 1)
        >>> predicted = np.array([[ahead, ahead, right]]).transpose(2, 0, 1)
        >>> metric = NormalsMetrics()
        >>> metric.update(predicted, Truth(labels, labels, maps={"normals": true}))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'normals_mean': 30.0, 'normals_median': 0.005, 'normals_within_11': 0.667,
         'normals_within_22': 0.667, 'normals_within_30': 0.667}
    """

    answer = "normals"
    main = "normals_within_11"

    def __init__(self) -> None:
        zeros = {"normals": np.zeros(len(NORMALS_SUMS)), "normals_angles": np.zeros(BINS, np.int64)}
        super().__init__(zeros)

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`normals_sums` of one image; zeros where the truth has no normals."""
        normals = truth.maps.get("normals")
        return normals_sums(answer, np.zeros_like(answer) if normals is None else normals)

    def figures(self, sums: Counted) -> dict[str, float]:
        """`normals_figures` of a set of images."""
        return normals_figures(sums)


def normals_sums(prediction: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> Counted:
    """The sums of one image, `normals` and `normals_angles`, additive over images.

    `normals` has the columns `NORMALS_SUMS` over valid pixels: their number, the sum of their angles in
    degrees, and how many angles are below each of `LIMITS`. `normals_angles` (18000,) is the histogram of the
    angles in bins of 0.01 degrees; 180 degrees belong to the last bin.

    Args:
        prediction: Normals (3, H, W) of any length. A zero vector points nowhere and counts as 90 degrees
            off. Values on invalid pixels do not matter.
        truth: Normals (3, H, W) of any length, the zero vector where invalid.

    Raises:
        ValueError: If the sizes differ or the prediction is not finite on valid pixels.
    """
    if prediction.shape != truth.shape or len(truth) != 3:
        raise ValueError(
            f"expected normals (3, H, W) of the truth's shape {truth.shape}, found {prediction.shape}: "
            "resize the prediction to the label file"
        )
    valid = truth.any(0)
    p = prediction[:, valid].astype(np.float64)
    t = truth[:, valid].astype(np.float64)
    if broken := np.count_nonzero(~np.isfinite(p).all(0)):
        raise ValueError(
            f"expected finite normals, found NaN or infinity in {broken} of {p.shape[1]} valid pixels: "
            "look for a training that diverged"
        )
    # float32 labels have not quite length 1, which near 0 degrees would be an error of 0.02
    lengths = np.linalg.norm(p, axis=0) * np.linalg.norm(t, axis=0)
    cosine = np.divide((p * t).sum(0), lengths, out=np.zeros(lengths.shape), where=lengths > 0)
    angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    within = [np.count_nonzero(angles < limit) for limit in LIMITS]
    bins = np.minimum((angles * BINS_PER_DEGREE).astype(np.int64), BINS - 1)
    return {
        "normals": np.array([angles.size, angles.sum(), *within], np.float64),
        # evaluation keeps those of every image
        "normals_angles": np.bincount(bins, minlength=BINS).astype(np.int32),
    }


def median_angle(histogram: Counts) -> float:
    """The median angle in degrees, within 0.005 of the exact one; NaN without pixels.

    The angle of each pixel is taken as the center of its bin. As usual, the median of an even number of
    angles is the mean of the two in the middle.

    Args:
        histogram: The sum of `normals_angles` of `normals_sums` over a set of images.
    """
    reached = histogram.astype(np.int64).cumsum()
    pixels = int(reached[-1])
    if not pixels:
        return float("nan")
    middle = np.array([(pixels - 1) // 2, pixels // 2])
    bins = np.searchsorted(reached, middle, "right")
    return float((bins + 0.5).mean() / BINS_PER_DEGREE)


def normals_figures(sums: Counted) -> dict[str, float]:
    """The figures of a set of images, over its valid pixels; NaN where there are none.

    `normals_mean` and `normals_median` are the mean and the median (`median_angle`) of the angle between
    predicted and true normals in degrees; smaller is better. `normals_within_11`, `normals_within_22` and
    `normals_within_30` are the shares of pixels whose angle is below 11.25, 22.5 and 30 degrees, in [0, 1]
    (Fouhey et al., ICCV 2013).

    Args:
        sums: The sum of `normals_sums` over a set of images.
    """
    pixels, angle, *within = sums["normals"]
    figures = {
        "normals_mean": float(ratio(angle, pixels)),
        "normals_median": median_angle(sums["normals_angles"]),
    }
    shares = (float(ratio(count, pixels)) for count in within)
    return figures | {f"normals_{name}": share for name, share in zip(NORMALS_SUMS[2:], shares, strict=True)}
