"""Precision and recall of the boundaries of regions, at a tolerance."""

from math import hypot

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Counts, ratio
from fusionseg.metrics.edges import boundaries
from fusionseg.sample import Counted, IntMap, Truth

BOUNDARY_SUMS = ("matched_prediction", "prediction", "matched_truth", "truth")
"""The columns of `boundary_sums`."""

DILATED = 16
"""Radius in pixels up to which a dilation takes less time than a distance transform."""


class BoundaryMetrics(ImageMetric):
    """Precision, recall and F-measure of the boundaries of regions.

    The figures are those of `boundary_figures`. All annotators of a truth count.

    Args:
        tolerance: Distance within which boundaries match, as a fraction of the image's diagonal.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import BoundaryMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = BoundaryMetrics()
        >>> truth = Truth(semantic=np.zeros((1, 4), int), region=np.array([[1, 1, 2, 2]]))
        >>> metric.update(np.array([[7, 7, 8, 9]]), truth)
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'boundary_f': 0.667, 'boundary_precision': 0.5, 'boundary_recall': 1.0}
    """

    answer = "region"

    def __init__(self, tolerance: float = 0.0075) -> None:
        super().__init__({"boundary": np.zeros(len(BOUNDARY_SUMS), np.int64)})
        self.tolerance = tolerance

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`boundary_sums` of one image."""
        return {"boundary": boundary_sums(answer, truth.region, *truth.others, tolerance=self.tolerance)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`boundary_figures` of a set of images."""
        return boundary_figures(sums["boundary"])


def boundary_sums(prediction: IntMap, *truths: IntMap, tolerance: float = 0.0075) -> Counts:
    """Boundary pixels of one image and how many of them were matched: `BOUNDARY_SUMS`, additive over images.

    A pixel is on a boundary if the pixel to its right, below or below to the right belongs to another region
    and both are labeled in the truth. So neither the rim of a void area nor anything predicted inside of it
    counts. A boundary pixel is matched if the other map has a boundary pixel within the tolerance. As in the
    Berkeley benchmark, a predicted pixel is matched if it is with any annotator, and the true pixels of all
    annotators are added.

    This is not the one-to-one matching of the Berkeley benchmark: one pixel may match many, so F is about
    0.02 higher.

    Args:
        prediction: Region ids (H, W); 0 is a region like any other.
        truths: Region ids (H, W) for each annotator, 0 is void.
        tolerance: Distance within which boundaries match, as a fraction of the image's diagonal.

    Raises:
        ValueError: If the maps differ in shape.
    """
    for truth in truths:
        if prediction.shape != truth.shape:
            raise ValueError(
                f"expected two region maps of one shape, found {prediction.shape} and {truth.shape}"
            )
    radius = tolerance * hypot(*prediction.shape)
    labeled = [truth != 0 for truth in truths]
    predicted = np.any([boundaries(prediction, known) for known in labeled], 0)
    true = [boundaries(truth, known) for truth, known in zip(truths, labeled, strict=True)]
    found = near(np.any(true, 0), predicted, radius)
    recalled = sum(near(predicted, edges, radius) for edges in true)
    return np.array([found, np.count_nonzero(predicted), recalled, np.count_nonzero(true)], np.int64)


def near(targets: npt.NDArray[np.bool_], pixels: npt.NDArray[np.bool_], radius: float) -> int:
    """The number of pixels that have a target within the radius, in pixels."""
    within = by_distance if radius > DILATED else by_dilation
    return int(np.count_nonzero(within(targets, radius) & pixels))


def by_dilation(targets: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """The pixels within a radius of a target; the time grows with the radius."""
    y, x = np.ogrid[-int(radius) : int(radius) + 1, -int(radius) : int(radius) + 1]
    disc = (y**2 + x**2 <= radius**2).astype(np.uint8)
    return cv2.dilate(targets.view(np.uint8), disc).view(bool)


def by_distance(targets: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """The pixels within a radius of a target; the time is the same for all radii."""
    if not targets.any():
        return np.zeros_like(targets)
    distance = cv2.distanceTransform((~targets).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # squared distances of pixels are integers, so that rounding decides nothing halfway between two of them
    return distance <= float(np.sqrt(np.floor(radius**2) + 0.5))


def boundary_figures(sums: npt.NDArray[np.number]) -> dict[str, float]:
    """Precision, recall and their harmonic mean over a set of images, in [0, 1].

    Precision is NaN without predicted boundaries, recall without true ones, F without either; F is 0 if only
    one side has boundaries.

    Args:
        sums: The sum of `boundary_sums` over a set of images.
    """
    matched_prediction, prediction, matched_truth, truth = (float(n) for n in sums)
    precision = float(ratio(matched_prediction, prediction))
    recall = float(ratio(matched_truth, truth))
    harmonic = 2 * precision * recall / (precision + recall) if matched_prediction and matched_truth else 0.0
    return {
        "boundary_f": harmonic if prediction or truth else float("nan"),
        "boundary_precision": precision,
        "boundary_recall": recall,
    }
