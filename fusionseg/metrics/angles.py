"""Angles between normals as additive sums: their number, mean, shares below limits, and a histogram."""

import numpy as np

from fusionseg.metrics.contingency import Counts, Floats, ratio

LIMITS = (11.25, 22.5, 30.0)
"""The angles in degrees below which a normal counts as right (Fouhey et al., ICCV 2013)."""

WITHIN = ("within_11", "within_22", "within_30")
"""The names of the shares of pixels whose angle is below each of `LIMITS`."""

ANGLE_SUMS = ("pixels", "angle", *WITHIN)
"""The columns of `angle_sums`."""

BINS_PER_DEGREE = 100
"""The resolution of the histogram of angles, from which the median comes."""

BINS = 180 * BINS_PER_DEGREE
"""Number of bins of the histogram of angles in [0, 180] degrees."""


def angles_of(cosines: Floats) -> Floats:
    """The angles in degrees of cosines, which may be a little outside of [-1, 1]."""
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def angle_sums(angles: Floats) -> Floats:
    """The sums `ANGLE_SUMS` of the angles (N,) of an image: number, sum, and how many are below limits."""
    within = [np.count_nonzero(angles < limit) for limit in LIMITS]
    return np.array([angles.size, angles.sum(), *within], np.float64)


def angle_histogram(angles: Floats) -> Counts:
    """The histogram (18000,) int32 of angles in bins of 0.01 degrees; 180 degrees belong to the last bin."""
    bins = np.minimum((angles * BINS_PER_DEGREE).astype(np.int64), BINS - 1)
    # evaluation keeps those of every image
    return np.bincount(bins, minlength=BINS).astype(np.int32)


def angle_figures(sums: Floats, histogram: Counts) -> dict[str, float]:
    """`mean` and `median` angle in degrees, and the shares `WITHIN` in [0, 1]; NaN where there are no pixels.

    Args:
        sums: The sum of `angle_sums` over a set of images.
        histogram: The sum of `angle_histogram` over the same.
    """
    pixels, angle, *within = sums
    figures = {"mean": float(ratio(angle, pixels)), "median": median_angle(histogram)}
    return figures | {name: float(ratio(count, pixels)) for name, count in zip(WITHIN, within, strict=True)}


def median_angle(histogram: Counts) -> float:
    """The median angle in degrees, within 0.005 of the exact one; NaN without pixels.

    The angle of each pixel is taken as the center of its bin. As usual, the median of an even number of
    angles is the mean of the two in the middle.

    Args:
        histogram: The sum of `angle_histogram` over a set of images.
    """
    reached = histogram.astype(np.int64).cumsum()
    pixels = int(reached[-1])
    if not pixels:
        return float("nan")
    middle = np.array([(pixels - 1) // 2, pixels // 2])
    bins = np.searchsorted(reached, middle, "right")
    return float((bins + 0.5).mean() / BINS_PER_DEGREE)
