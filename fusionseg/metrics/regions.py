"""Metrics of a partition into regions: covering, variation of information and others, from one table."""

import numpy as np

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Floats, overlaps, ratio, totals
from fusionseg.sample import Counted, IntMap, Truth

REGION_SUMS = ("images", "pixels", "covered", "voi_split", "voi_merge", "rand_error")
"""The columns of `region_sums`."""


class RegionMetrics(ImageMetric):
    """Covering, variation of information and adapted Rand error of a partition into regions.

    The figures are those of `region_figures`. All annotators of a truth count.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import RegionMetrics
        >>> from fusionseg.sample import Truth
        >>> metric = RegionMetrics()
        >>> truth = Truth(semantic=np.zeros((1, 4), int), region=np.array([[1, 1, 2, 2]]))
        >>> metric.update(np.array([[7, 7, 7, 7]]), truth)
        >>> figures = metric.compute()
        >>> [round(float(figures[name]), 3) for name in ("covering", "voi", "rand_error")]
        [0.5, 1.0, 0.5]
    """

    answer = "region"
    main = "covering"

    def __init__(self) -> None:
        super().__init__({"region": np.zeros(len(REGION_SUMS))})

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`region_sums` of one image."""
        return {"region": region_sums(answer, truth.region, *truth.others)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`region_figures` of a set of images."""
        return region_figures(sums["region"])


def region_sums(prediction: IntMap, *truths: IntMap) -> Floats:
    """The sums of one image, `REGION_SUMS`, additive over images.

    Void pixels of a truth are left out of everything. Of several annotators the areas (`pixels`, `covered`)
    are added and the others are averaged, as in the Berkeley benchmark. All is 0 where no annotator labeled a
    region.

    Args:
        prediction: Region ids (H, W); 0 is a region like any other.
        truths: Region ids (H, W) for each annotator, 0 is void.

    Raises:
        ValueError: If the sizes differ or an id is negative.
    """
    labeled = [sums for sums in (annotator_sums(prediction, truth) for truth in truths) if sums[0]]
    if not labeled:
        return np.zeros(len(REGION_SUMS))
    total: Floats = np.sum(labeled, 0)
    averaged = [name not in ("pixels", "covered") for name in REGION_SUMS]
    total[averaged] /= len(labeled)
    return total


def annotator_sums(prediction: IntMap, truth: IntMap) -> Floats:
    """`region_sums` for one annotator."""
    rows, columns, row, column, area = overlaps(truth, prediction)
    labeled = rows[row] != 0
    row = row[labeled]
    column = column[labeled]
    area = area[labeled]
    if area.size == 0:
        return np.zeros(len(REGION_SUMS))
    of_truth = totals(row, area, rows.size)
    of_prediction = totals(column, area, columns.size)
    pixels = area.sum()
    best = np.zeros(of_truth.size)
    np.maximum.at(best, row, area / (of_truth[row] + of_prediction[column] - area))
    split = area @ np.log2(of_truth[row] / area) / pixels
    merge = area @ np.log2(of_prediction[column] / area) / pixels
    error = rand_error(area, of_truth, of_prediction)
    return np.array([1, pixels, of_truth @ best, split, merge, error])


def rand_error(both: Floats, of_truth: Floats, of_prediction: Floats) -> float:
    """One minus the F-score of saying which two pixels belong together (adapted Rand error, in [0, 1]).

    Arganda-Carreras et al., doi:10.3389/fnana.2015.00142, with pairs of distinct pixels as in scikit-image.
    It is 0 where neither side puts any two pixels together.
    """
    pairs, truth_pairs, prediction_pairs = (float(n @ n - n.sum()) for n in (both, of_truth, of_prediction))
    total = truth_pairs + prediction_pairs
    return 1 - 2 * pairs / total if total else 0.0


def region_figures(sums: Floats) -> dict[str, float]:
    """The figures of a set of images; NaN where no image has labeled regions.

    `covering` is the share of pixels that the best predicted region covers, by intersection over union: the
    sum of |R| max IoU(R, S) over all true regions R, by the sum of |R|, in [0, 1] (Arbelaez et al., TPAMI
    2011, section 3.1.3; over the set, not per image). `voi`, the variation of information in bits, is a mean
    over images (Meila 2005); it is the sum of `voi_split`, H(prediction | truth), which grows as true regions
    are split, and `voi_merge`, H(truth | prediction), which grows as they are merged. `rand_error` is the
    mean adapted Rand error, in [0, 1]. Larger is better for `covering` alone.

    Args:
        sums: The sum of `region_sums` over a set of images.
    """
    images, pixels, covered, split, merge, error = sums
    return {
        "covering": float(ratio(covered, pixels)),
        "voi": float(ratio(split + merge, images)),
        "voi_split": float(ratio(split, images)),
        "voi_merge": float(ratio(merge, images)),
        "rand_error": float(ratio(error, images)),
    }
