"""Instances of one class: the Data Science Bowl's score, the aggregated Jaccard index and Boundary IoU.

Instances are the ids of label maps, which do not overlap, so that one table of an image holds all that the
figures need: how many pixels each true and each predicted instance share.
"""

from typing import NamedTuple

import numpy as np

from fusionseg.metrics.contingency import Counts, Floats, overlaps, ratio, totals
from fusionseg.metrics.mask_boundaries import label_boundaries
from fusionseg.sample import Counted, IntMap

THRESHOLDS: Floats = np.arange(10, 20) / 20
"""The IoU thresholds 0.5, 0.55 .. 0.95, exactly."""


class Instances(NamedTuple):
    """The instances of one image, and the K pairs of a true and a predicted one that share pixels.

    Args:
        truths: Ids of the true instances (N,), ascending.
        predictions: Ids of the predicted instances (M,), ascending.
        truth_area: Pixels of each true instance (N,).
        prediction_area: Pixels of each predicted instance (M,).
        truth: Of each pair, the position of the true instance in `truths` (K,), ascending.
        prediction: Of each pair, the position of the predicted one in `predictions` (K,), ascending for each
            true instance.
        intersection: Of each pair, the pixels that both have, at least 1 (K,).
        iou: Of each pair, the intersection over union of the masks, in (0, 1] (K,).
        boundary_iou: Of each pair, the same of the bands along their contours, in [0, 1] (K,).
    """

    truths: Counts
    predictions: Counts
    truth_area: Floats
    prediction_area: Floats
    truth: Counts
    prediction: Counts
    intersection: Floats
    iou: Floats
    boundary_iou: Floats


def instances(truth: IntMap, prediction: IntMap, distance: int) -> Instances:
    """Compares the instances of two label maps.

    Boundary IoU is that of the pixels of either mask within a distance of its own contour (Cheng et al., CVPR
    2021, equation 3).

    Args:
        truth: Ids (H, W), not negative, 0 is background.
        prediction: Ids (H, W), not negative, 0 is background.
        distance: Width of the bands in pixels, as of `boundary_distance`.

    Raises:
        ValueError: If the shapes differ, an id is negative, or the distance is less than 1.
    """
    masks = _table(truth, prediction)
    near = (labels * label_boundaries(labels, distance) for labels in (truth, prediction))
    bands = _table(*near)
    # each mask has a part of its band, so that positions are the same; bands share fewer pairs than masks
    width = max(masks.predictions.size, 1)
    at = np.searchsorted(masks.truth * width + masks.prediction, bands.truth * width + bands.prediction)
    boundary_iou = np.zeros(masks.iou.size)
    boundary_iou[at] = bands.iou
    return masks._replace(boundary_iou=boundary_iou)


def _table(truth: IntMap, prediction: IntMap) -> Instances:
    """The instances of two label maps, without their bands."""
    rows, columns, row, column, area = overlaps(truth, prediction)
    first_row = np.count_nonzero(rows == 0)
    first_column = np.count_nonzero(columns == 0)
    truth_area = totals(row, area, rows.size)
    prediction_area = totals(column, area, columns.size)
    shared = (row >= first_row) & (column >= first_column)
    row = row[shared]
    column = column[shared]
    area = area[shared]
    iou = area / (truth_area[row] + prediction_area[column] - area)
    return Instances(
        rows[first_row:],
        columns[first_column:],
        truth_area[first_row:],
        prediction_area[first_column:],
        row - first_row,
        column - first_column,
        area,
        iou,
        np.zeros(iou.size),
    )


def dsb_counts(found: Instances) -> Counts:
    """True positives, false positives and false negatives at each of `THRESHOLDS`: (T, 3).

    A predicted and a true instance match if their IoU is greater than the threshold, and not equal to it, as
    the Data Science Bowl 2018 says; no third one can match either of them, because half of a mask is gone.
    """
    hits = np.count_nonzero(found.iou[:, None] > THRESHOLDS, 0)
    return np.stack([hits, found.predictions.size - hits, found.truths.size - hits], 1)


def dsb_scores(counts: Counts) -> Floats:
    """TP / (TP + FP + FN) of one image at each threshold, in [0, 1]: (T,).

    By this formula an image without true instances has 0 if anything is predicted. Where nothing is, the
    competition's text leaves 0 / 0 open; here that is right, and 1.

    Args:
        counts: `dsb_counts` of the image.
    """
    return np.nan_to_num(ratio(counts[:, 0], counts.sum(1)), nan=1.0)


def aggregated_jaccard(found: Instances) -> float:
    """The aggregated Jaccard index of one image, in [0, 1] (Kumar et al., TMI 2017, algorithm 1).

    Every true instance is joined with the predicted one of the highest IoU. The pixels that both have, added
    over the true instances, are divided by the pixels that either has, added too, and the pixels of predicted
    instances that were joined with none. As in the paper and in the authors' code (of July 2018, which the
    MoNuSeg challenge used; what they first published removed a prediction once it was used, so that the order
    of the ids mattered), a prediction may be joined with several true instances and adds its pixels each
    time. Without true and predicted instances it is 1, which the paper leaves open.
    """
    # the first of equal ones, as there
    order = np.lexsort((-found.iou, found.truth))
    _, first = np.unique(found.truth[order], return_index=True)
    best = order[first]
    unused = np.ones(found.predictions.size, bool)
    unused[found.prediction[best]] = False
    intersection = found.intersection[best].sum()
    either = found.truth_area.sum() - intersection
    either += found.prediction_area[found.prediction[best]].sum() + found.prediction_area[unused].sum()
    return float(intersection / either) if either else 1.0


def instance_sums(found: Instances) -> Counted:
    """What `instance_figures` are computed from, additive over images.

    Args:
        found: `instances` of one image.
    """
    matched = found.iou > THRESHOLDS[0]
    return {
        "instance_images": np.ones(1),
        "dsb": dsb_scores(dsb_counts(found)),
        "aji": np.array([aggregated_jaccard(found)]),
        "matched": np.array([np.count_nonzero(matched)], float),
        "boundary_iou": np.array([found.boundary_iou[matched].sum()]),
    }


def instance_figures(sums: Counted) -> dict[str, float]:
    """Figures in [0, 1] that need no confidences; all are NaN for no image.

    `dsb_ap` is the score of the Data Science Bowl 2018: the mean of `dsb_scores` over thresholds and images;
    `dsb_ap50` and `dsb_ap75` are those at one threshold. `aji` is the mean of `aggregated_jaccard` over
    images. `boundary_iou` is the mean Boundary IoU of all pairs whose masks have an IoU greater than 0.5; NaN
    where there are none.

    Args:
        sums: The sum of `instance_sums` over the images.
    """
    scores = ratio(sums["dsb"], sums["instance_images"])
    return {
        "dsb_ap": float(scores.mean()),
        "dsb_ap50": float(scores[0]),
        "dsb_ap75": float(scores[5]),
        "aji": float(ratio(sums["aji"], sums["instance_images"])[0]),
        "boundary_iou": float(ratio(sums["boundary_iou"], sums["matched"])[0]),
    }
