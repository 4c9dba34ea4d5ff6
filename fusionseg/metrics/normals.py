"""Angles between predicted and true surface normals: mean, median and shares below limits."""

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.angles import ANGLE_SUMS, BINS, angle_figures, angle_histogram, angle_sums, angles_of
from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.labeled_pixels import labeled_pixels
from fusionseg.sample import Counted, Truth


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
        zeros = {"normals": np.zeros(len(ANGLE_SUMS)), "normals_angles": np.zeros(BINS, np.int64)}
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

    `normals` are the `angle_sums` of the valid pixels in degrees, `normals_angles` their `angle_histogram`.

    Args:
        prediction: Normals (3, H, W) of any length. A zero vector points nowhere and counts as 90 degrees
            off. Values on invalid pixels do not matter.
        truth: Normals (3, H, W) of any length, the zero vector where invalid.

    Raises:
        ValueError: If the sizes differ or the prediction is not finite on valid pixels.
    """
    p, t = labeled_pixels(prediction, truth, (truth != 0).max(0), "normals")
    # float32 labels have not quite length 1, which near 0 degrees would be an error of 0.02
    lengths = np.linalg.norm(p, axis=0) * np.linalg.norm(t, axis=0)
    cosine = np.divide((p * t).sum(0), lengths, out=np.zeros(lengths.shape), where=lengths > 0)
    angles = angles_of(cosine)
    return {"normals": angle_sums(angles), "normals_angles": angle_histogram(angles)}


def normals_figures(sums: Counted) -> dict[str, float]:
    """The figures of a set of images, over its valid pixels; NaN where there are none.

    `normals_mean` and `normals_median` are the mean and the median (`median_angle`) of the angle between
    predicted and true normals in degrees; smaller is better. `normals_within_11`, `normals_within_22` and
    `normals_within_30` are the shares of pixels whose angle is below 11.25, 22.5 and 30 degrees, in [0, 1]
    (Fouhey et al., ICCV 2013).

    Args:
        sums: The sum of `normals_sums` over a set of images.
    """
    figures = angle_figures(sums["normals"], sums["normals_angles"])
    return {f"normals_{name}": value for name, value in figures.items()}
