"""Calibration of the probability of a boundary, near true boundaries."""

from collections.abc import Iterator
from math import hypot
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import ratio
from fusionseg.metrics.edges import two_sided
from fusionseg.metrics.reliability import BINS, LOWEST, calibration_error, reliability
from fusionseg.metrics.risk_coverage import LEVELS, area_under_risk, risk_counts
from fusionseg.sample import Counted, Truth

TOLERANCE = 0.0075
"""Half the band's width as a share of the image's diagonal, by default the tolerance of `BoundaryMetrics`."""


class Observed(NamedTuple):
    """What one annotator saw near the boundaries of all annotators.

    Attributes:
        where: The pixels (H, W) that count: in the band, and labelled by the annotator.
        boundary: The pixels (H, W) on a boundary.
    """

    where: npt.NDArray[np.bool_]
    boundary: npt.NDArray[np.bool_]


def observed(truth: Truth, band: float | None = None) -> Iterator[Observed]:
    """What each annotator of an image saw near true boundaries; nothing where nobody labelled regions.

    Pixels on both sides of a boundary are on it: labelled ones with a labelled neighbor above, below, left or
    right in another region, as heads of boundaries learn it at their width of 2 pixels. The band is that of
    all annotators together, so that a pixel that only some of them take for a boundary counts for each.

    Args:
        truth: The labels of the image.
        band: The largest distance from a boundary in pixels; `TOLERANCE` of the diagonal where left out.
    """
    maps = [region for region in (truth.region, *truth.others) if truth.has_regions and region.any()]
    edges = [two_sided(region, region != 0) for region in maps]
    if not np.any(edges):
        return
    radius = TOLERANCE * hypot(*truth.region.shape) if band is None else band
    elsewhere = (~np.any(edges, 0)).view(np.uint8)
    distance = cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # squared distances of pixels are integers, so that rounding decides nothing
    near = distance**2 < np.floor(radius**2) + 0.5
    for region, boundary in zip(maps, edges, strict=True):
        yield Observed(near & (region != 0), boundary)


class BoundaryCalibration(ImageMetric):
    """How well the predicted probability of a boundary is that of the truth, in a band around true ones.

    Elsewhere nearly all is easy, and would hide the errors. `observed` says what the band is, and what is on
    a boundary. With several annotators each pixel counts once for each of them, so that the probability is
    held against the share of annotators who see a boundary.

    ========================  ================================================================================
    figure                    meaning
    ========================  ================================================================================
    `boundary_ece`            expected calibration error of the probability of a boundary
    `boundary_brier`          squared error of that probability (Brier, 1950), in [0, 1]
    `boundary_nll`            negative log-likelihood in nats; a logarithm is at least -100
    `boundary_aurc`           area under risk over coverage of the likelier answer, as in `ClassCalibration`
    `boundary_aurc_error`     how far that may be off at most
    ========================  ================================================================================

    All are means over the pixels of the bands, never over images, and lower is better. Losses that weigh
    boundaries more than their number, as `BalancedBCE` does, make probabilities too high.

    Args:
        band: The largest distance from a true boundary in pixels of the label file; `TOLERANCE` of the
            image's diagonal where left out.
        bins: Number of bins, of equal width, of the calibration error.

    Raises:
        ValueError: If the band is negative.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import BoundaryCalibration
        >>> from fusionseg.sample import Truth
        >>> metric = BoundaryCalibration(band=1)
        >>> region = np.array([[1, 1, 1, 2, 2, 2]])
        >>> logits = np.log([[1 / 9, 1 / 4, 4, 4, 1 / 4, 1 / 9]])  # of 0.1, 0.2, 0.8, 0.8, 0.2 and 0.1
        >>> metric.update(logits, Truth(semantic=np.zeros((1, 6), int), region=region))
        >>> {name: round(float(metric.compute()[name]), 3) for name in ("boundary_ece", "boundary_brier")}
        {'boundary_ece': 0.2, 'boundary_brier': 0.04}
    """

    answer = "contour_logits"

    def __init__(self, band: float | None = None, bins: int = BINS) -> None:
        if band is not None and not band >= 0:
            raise ValueError(f"expected a band of 0 or more pixels, found {band}")
        super().__init__(
            {
                "boundary_calibration": np.zeros((bins, 3)),
                "boundary_pixel_scores": np.zeros(3),
                "boundary_confidence_levels": np.zeros((LEVELS, 2), np.int64),
            }
        )
        self.band = band
        self.bins = bins

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """The sums of one image: those of `ClassCalibration` without classes, over annotators.

        Args:
            answer: The logit of a boundary (H, W).
            truth: The labels of the image.

        Raises:
            ValueError: If sizes differ or a logit is no number.
        """
        if answer.shape != truth.region.shape:
            raise ValueError(f"expected logits of shape {truth.region.shape}, found {answer.shape}")
        pairs = [(answer[where], boundary[where]) for where, boundary in observed(truth, self.band)]
        logits = np.concatenate([answer[:0, 0], *(some for some, _ in pairs)])
        boundary = np.concatenate([np.zeros(0, bool), *(some for _, some in pairs)])
        if np.isnan(logits).any():
            raise ValueError("expected logits of boundaries, found values that are no number")
        log_yes, log_no = (np.maximum(-np.logaddexp(0, sign * logits), LOWEST) for sign in (-1, 1))
        probability = np.exp(log_yes)
        squares = float(np.square(probability - boundary).sum(dtype=np.float64))
        nll = -float(np.where(boundary, log_yes, log_no).sum(dtype=np.float64))
        return {
            "boundary_calibration": reliability(probability, boundary, self.bins),
            "boundary_pixel_scores": np.array([boundary.size, squares, nll]),
            "boundary_confidence_levels": risk_counts(np.maximum(log_yes, log_no), (logits > 0) != boundary),
        }

    def figures(self, sums: Counted) -> dict[str, float]:
        """The figures of a set of images, NaN where no image has a boundary."""
        pixels, squares, nll = sums["boundary_pixel_scores"]
        area = area_under_risk(sums["boundary_confidence_levels"])
        return {
            "boundary_ece": float(calibration_error(sums["boundary_calibration"])),
            "boundary_brier": float(ratio(squares, pixels)),
            "boundary_nll": float(ratio(nll, pixels)),
            "boundary_aurc": area.area,
            "boundary_aurc_error": area.error,
        }
