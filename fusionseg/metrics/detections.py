"""COCO's average precision of instances of one class, with the IoU of masks and with Boundary IoU."""

from typing import NamedTuple

import numpy as np

from fusionseg.metrics.contingency import Counts, Floats
from fusionseg.metrics.instances import THRESHOLDS, Instances
from fusionseg.metrics.mask_boundaries import Mask

RECALLS: Floats = np.linspace(0, 1, 101)
"""The recalls at which COCO looks up the precision."""


class Detections(NamedTuple):
    """The predictions of an image for average precision, the most confident first (D,).

    Args:
        scores: Confidence of each.
        iou: IoU of each with the true instance that it found; 0 where it found none.
        boundary_iou: The same with the smaller one of the IoU of masks and of boundaries.
    """

    scores: Floats
    iou: Floats
    boundary_iou: Floats


def detections(found: Instances, scores: Floats, max_detections: int | None = None) -> Detections:
    """Which predictions of one image found a true instance, as COCO matches them.

    Args:
        found: `instances` of the image.
        scores: Confidence of each predicted instance (M,), finite; of equal ones the smaller id is first.
        max_detections: How many of the most confident ones count; COCO's own limit is 100.

    Raises:
        ValueError: If there are not as many confidences as predicted instances, or one is not finite.
    """
    scores = np.asarray(scores, np.float64)  # unsigned ones have no negative
    if scores.shape != found.predictions.shape or not np.isfinite(scores).all():
        raise ValueError(
            f"expected a finite confidence of each of {found.predictions.size} predicted instances, found "
            f"{np.isfinite(scores).sum()} of shape {scores.shape}"
        )
    order = np.argsort(-scores, kind="stable")[:max_detections]
    boundary_iou = np.minimum(found.iou, found.boundary_iou)
    return Detections(scores[order], _matches(found, found.iou, order), _matches(found, boundary_iou, order))


def _matches(found: Instances, iou: Floats, order: Counts) -> Floats:
    """The IoU of each prediction with the true instance that it found (D,), 0 where it found none.

    The most confident prediction takes an instance first. Since masks do not overlap, two pairs share an
    instance only if it consists of the other two and both IoU are 0.5, the lowest threshold. So one matching
    serves all thresholds, and a prediction of two instances counts once whichever it takes.

    Args:
        found: `instances` of the image.
        iou: At most the IoU of masks, of each pair (K,).
        order: Positions of the predictions that count, the most confident first (D,).
    """
    ranks = np.full(found.predictions.size, order.size)
    ranks[order] = np.arange(order.size)
    rank = ranks[found.prediction]
    possible = np.flatnonzero((iou >= THRESHOLDS[0]) & (rank < order.size))
    possible = possible[np.argsort(rank[possible], kind="stable")]
    _, first = np.unique(found.truth[possible], return_index=True)
    chosen = possible[first]
    matches = np.zeros(order.size)
    matches[rank[chosen]] = iou[chosen]
    return matches


def average_precision(scores: Floats, iou: Floats, truths: int) -> Floats:
    """COCO's average precision at each of `THRESHOLDS`, in [0, 1]: (T,); NaN without true instances.

    As pycocotools: predictions of all images by falling confidence, a hit where the IoU is at least the
    threshold; the precision at a recall is the largest at it or beyond, 0 where it is not reached; the mean
    over `RECALLS`. Equal confidences are taken in the given order.

    Args:
        scores: Confidence of the predictions of all images (D,), image after image.
        iou: IoU of each with the true instance that it found, 0 where it found none (D,).
        truths: Number of true instances of all images.
    """
    if not truths:
        return np.full(THRESHOLDS.size, np.nan)
    hits = iou[np.argsort(-scores, kind="stable")] >= THRESHOLDS[:, None]
    return np.array([_interpolated_precision(row, truths) for row in hits])


def precision_figures(found: Detections, truths: int) -> dict[str, float]:
    """Figures in [0, 1] that need confidences; all are NaN without true instances.

    `coco_ap` is the mean of `average_precision` over thresholds, `coco_ap50` and `coco_ap75` are those at one
    threshold, `boundary_ap` is `coco_ap` with the smaller one of mask and Boundary IoU.

    Args:
        found: `detections` of all images, image after image.
        truths: Number of true instances of all images.
    """
    precision = average_precision(found.scores, found.iou, truths)
    return {
        "coco_ap": float(precision.mean()),
        "coco_ap50": float(precision[0]),
        "coco_ap75": float(precision[5]),
        "boundary_ap": float(average_precision(found.scores, found.boundary_iou, truths).mean()),
    }


def precision_curve(scores: Floats, iou: Floats, truths: int) -> tuple[Floats, Floats, Floats]:
    """Each confidence that occurs, ascending, and precision and recall of what has at least that (K,).

    An instance is found where the IoU is at least 0.5.

    Args:
        scores: Confidence of the predictions of all images (D,).
        iou: IoU of each with the true instance that it found, 0 where it found none (D,).
        truths: Number of true instances of all images, at least 1.
    """
    levels, group = np.unique(scores, return_inverse=True)
    hits = iou >= THRESHOLDS[0]
    # of all that have at least a confidence
    predicted, found = (
        np.bincount(group, weights, levels.size)[::-1].cumsum()[::-1] for weights in (None, hits)
    )
    return levels, found / predicted, found / truths


def _interpolated_precision(hits: Mask, truths: int) -> float:
    """The mean precision over `RECALLS` of ranked predictions."""
    found = np.cumsum(hits)
    precision = found / (np.arange(1, found.size + 1) + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(found / truths, RECALLS, side="left")
    return float(np.append(best, 0.0)[at].mean())
