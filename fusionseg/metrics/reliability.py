"""Reliability tables: with which probability something was predicted, and how often it came true."""

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.contingency import Floats, ratio

BINS = 15
"""The number of bins of equal width that probabilities are sorted into, as in the paper."""

LOWEST = -100.0
"""The least logarithm of a probability that counts, as in torch's BCELoss, so that sums are finite."""


def reliability(probability: npt.NDArray[np.floating], occurred: npt.NDArray[np.bool_], bins: int) -> Floats:
    """The number of predictions in each bin, the sum of their probabilities, and how many came true.

    Tables (bins, 3) are additive. Bin i holds the probabilities in [i / bins, (i + 1) / bins), the last one 1
    too.

    Args:
        probability: Of each prediction (N,), in [0, 1].
        occurred: Whether it came true (N,).
        bins: The number of bins.
    """
    place = np.minimum((probability * bins).astype(np.intp), bins - 1)
    number = np.bincount(place, minlength=bins)
    total = np.bincount(place, probability, bins)
    came_true = np.bincount(place[occurred], minlength=bins)
    return np.stack([number, total, came_true], 1).astype(np.float64)


def calibration_error(table: Floats) -> Floats:
    """The expected calibration error of tables (..., bins, 3), in [0, 1]; NaN where nothing was predicted.

    It is the mean over predictions of how far, in their bin, the mean probability is from the share that came
    true (Guo et al., arXiv:1706.04599, eq. 3).
    """
    gap = np.abs(table[..., 1] - table[..., 2])
    return ratio(gap.sum(-1), table[..., 0].sum(-1))
