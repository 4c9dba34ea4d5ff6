"""Risk over coverage: how often the most confident predictions are wrong, by how many of them are kept."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.contingency import Counts, Floats, ratio

OCTAVES = 24
"""How often the uncertainty is halved from 1 on until predictions count as equally certain."""

STEPS = 256
"""Levels of each octave, so that uncertainties of one level differ by 0.3 %."""

LEVELS = OCTAVES * STEPS + 1


class AreaUnderRisk(NamedTuple):
    """The area under risk over coverage.

    Attributes:
        area: Of predictions in random order within each level.
        error: How far the order within the levels may move it at most.
    """

    area: float
    error: float


def risk_counts(log_confidence: npt.NDArray[np.floating], wrong: npt.NDArray[np.bool_]) -> Counts:
    """The predictions of each level of confidence, from certain to uncertain, and how many are wrong.

    Tables (LEVELS, 2) are additive. Levels are even in the logarithm of the uncertainty, 1 - confidence,
    since that of trained networks is mostly small.

    Args:
        log_confidence: The logarithm of the probability of what is predicted (N,).
        wrong: Whether it is wrong (N,).
    """
    uncertainty = np.maximum(-np.expm1(log_confidence), 2.0 ** (-OCTAVES - 1))
    height = np.floor((np.log2(uncertainty) + OCTAVES) * STEPS).astype(np.intp) + 1
    level = height.clip(0, LEVELS - 1)
    return np.stack([np.bincount(level, minlength=LEVELS), np.bincount(level[wrong], minlength=LEVELS)], 1)


def risk_coverage(counts: Counts) -> tuple[Floats, Floats]:
    """Coverage and risk (L,) at the end of each level that has predictions, both in [0, 1].

    Coverage is the share of predictions that are kept, the most confident ones, and risk the share of these
    that are wrong (Geifman and El-Yaniv, arXiv:1705.08500, section 2).

    Args:
        counts: The sum of `risk_counts` over a set of images.
    """
    kept, wrong = np.cumsum(counts[counts[:, 0] > 0], 0).T
    return ratio(kept, counts[:, 0].sum()), ratio(wrong, kept)


def area_under_risk(counts: Counts) -> AreaUnderRisk:
    """The mean of the risk over all numbers of kept predictions, in [0, 1]; NaN without predictions.

    That is AURC (Geifman et al., arXiv:1805.08206). The order of predictions of one level is unknown:
    the area is the mean over all orders, and the error reaches from there to the better or worse of those in
    which the wrong ones come last and first.

    Args:
        counts: The sum of `risk_counts` over a set of images.
    """
    size, wrong = counts[counts[:, 0] > 0].astype(np.float64).T
    before = np.cumsum(size) - size
    wrong_before = np.cumsum(wrong) - wrong
    right = size - wrong
    whole = _harmonic(before, before + size)
    # sums over j = 1 .. size of (number of wrong ones up to j) / (before + j), for three orders
    mean = wrong + (wrong_before - ratio(wrong, size) * before) * whole
    worst = wrong + (wrong_before - before) * _harmonic(before, before + wrong)
    worst += (wrong_before + wrong) * _harmonic(before + wrong, before + size)
    best = wrong_before * _harmonic(before, before + right)
    best += wrong + (wrong_before - right - before) * _harmonic(before + right, before + size)
    area, most, least = (float(ratio(part.sum(), size.sum())) for part in (mean, worst, best))
    return AreaUnderRisk(area, max(most - area, area - least, 0.0))


def _harmonic(start: Floats, end: Floats) -> Floats:
    """The sums of 1 / k over k = start + 1 .. end."""
    from scipy.special import digamma  # here, because official scores need it not

    return np.asarray(digamma(end + 1) - digamma(start + 1), np.float64)
