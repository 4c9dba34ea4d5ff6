"""The Berkeley region benchmark: covering, Rand index and variation of information over thresholds.

Arbelaez et al., TPAMI 2011, section 3.1. All numbers are those of the benchmark's code to the last digit.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fusionseg.metrics.contingency import Floats, overlaps, ratio, totals
from fusionseg.sample import Counted, IntMap


class RegionCurve(NamedTuple):
    """What the figures of one image, or of several by stacking, are computed from.

    Args:
        pixels: Labeled pixels of all annotators (...).
        covered: Of these, how many the regions of each partition cover, by IoU (..., T).
        best_covered: How many the best region of any partition covers (...).
        partition_pixels: Pixels of the image (...).
        partition_covered: Of these, how many the true regions cover, the best of any annotator for each
            region of a partition (..., T).
        rand: Rand index of each partition, mean over annotators, in [0, 1] (..., T).
        voi: Variation of information of each partition in bits, mean over annotators (..., T).
    """

    pixels: Floats
    covered: Floats
    best_covered: Floats
    partition_pixels: Floats
    partition_covered: Floats
    rand: Floats
    voi: Floats


def ultrametric_partitions(ultrametric: Floats, thresholds: Floats) -> Iterator[IntMap]:
    """The partition (H, W) of an ultrametric contour map (2H + 1, 2W + 1) at each threshold, ids from 1.

    Its regions are the 4-connected components of the map at most the threshold, at odd rows and columns.
    """
    for threshold in thresholds:
        inside = (ultrametric <= threshold).astype(np.uint8)
        yield cv2.connectedComponents(inside, connectivity=4)[1][1::2, 1::2]


def region_curve(partitions: Iterable[IntMap], truths: Sequence[IntMap]) -> RegionCurve:
    """Compares each of the partitions of one image with each annotator.

    Args:
        partitions: Region ids (H, W), not negative; 0 is a region like any other.
        truths: Region ids (H, W) from each annotator, 0 is void.

    Raises:
        ValueError: If there is no annotator with a labeled pixel or no partition, or the sizes differ.
    """
    labeled = [truth for truth in truths if truth.any()]
    scores = [[_compare(partition, truth) for truth in labeled] for partition in partitions]
    if not labeled or not scores:
        raise ValueError(f"expected annotators and partitions, found {len(labeled)} and {len(scores)}")
    covers = [np.stack([row[person].cover for row in scores]) for person in range(len(labeled))]
    best = sum(float(np.max(cover, 0).sum()) for cover in covers)
    return RegionCurve(
        pixels=np.array(sum(np.count_nonzero(truth) for truth in labeled), float),
        covered=np.sum([cover.sum(1) for cover in covers], 0),
        best_covered=np.array(best),
        partition_pixels=np.array(labeled[0].size, float),
        partition_covered=np.array([_covered_by_any(row) for row in scores]),
        rand=np.mean([[score.rand for score in row] for row in scores], 1),
        voi=np.mean([[score.voi for score in row] for row in scores], 1),
    )


class _Score(NamedTuple):
    """One partition against one annotator.

    Args:
        cover: Pixels of each true region, times the IoU of the region that covers it best.
        areas: Pixels of each region of the partition.
        overlap: IoU of the true region that covers it best, for each region of the partition.
        rand: Rand index.
        voi: Variation of information in bits.
    """

    cover: Floats
    areas: Floats
    overlap: Floats
    rand: float
    voi: float


def _compare(partition: IntMap, truth: IntMap) -> _Score:
    rows, columns, all_row, column_of_all, all_area = overlaps(truth, partition)
    labeled = rows[all_row] != 0
    row = all_row[labeled] - (rows[0] == 0)
    column = column_of_all[labeled]
    area = all_area[labeled]
    of_truth = totals(row, area, int(row.max()) + 1)
    of_partition = totals(column, area, columns.size)
    overlap = area / (of_truth[row] + of_partition[column] - area)
    best = np.zeros(of_truth.size)
    np.maximum.at(best, row, overlap)
    best_true = np.zeros(columns.size)
    np.maximum.at(best_true, column, overlap)
    pixels = float(area.sum())
    pairs = pixels * (pixels - 1) / 2
    apart = (of_truth @ of_truth + of_partition @ of_partition) / 2 - area @ area
    voi = float(area @ np.log2(of_truth[row] * of_partition[column] / area**2)) / pixels
    rand = float(1 - apart / pairs) if pairs else 1.0
    return _Score(of_truth * best, totals(column_of_all, all_area, columns.size), best_true, rand, voi)


def _covered_by_any(scores: Sequence[_Score]) -> float:
    """The pixels of a partition that true regions cover, the best of any annotator for each region."""
    return float(scores[0].areas @ np.max([score.overlap for score in scores], 0))


def region_curve_sums(curve: RegionCurve) -> Counted:
    """What figures are computed from, additive over images.

    Args:
        curve: `region_curve` of one image.
    """
    return {
        "images": np.ones(1),
        "pixels": curve.pixels[None],
        "covered": curve.covered,
        "covered_own": curve.covered.max(keepdims=True),
        "covered_best": curve.best_covered[None],
        "rand": curve.rand,
        "rand_own": curve.rand.max(keepdims=True),
        "voi": curve.voi,
        "voi_own": curve.voi.min(keepdims=True),
    }


def region_curve_figures(sums: Counted, thresholds: Floats) -> dict[str, float]:
    """Covering, PRI (larger is better) and VI in bits (smaller is better); NaN for no image.

    `_ods` is at the one threshold that is best for the whole set, `_ois` at each image's own; `covering_best`
    chooses for each true region the best region of any partition.

    Args:
        sums: The sum of `region_curve_sums` over the images.
        thresholds: The thresholds (T,).
    """
    covering = ratio(sums["covered"], sums["pixels"])
    rand = ratio(sums["rand"], sums["images"])
    voi = ratio(sums["voi"], sums["images"])
    figures = {
        "covering_ods": float(covering.max()),
        "covering_ods_threshold": float(thresholds[covering.argmax()]),
        "covering_ois": float(ratio(sums["covered_own"], sums["pixels"])[0]),
        "covering_best": float(ratio(sums["covered_best"], sums["pixels"])[0]),
        "pri_ods": float(rand.max()),
        "pri_ods_threshold": float(thresholds[rand.argmax()]),
        "pri_ois": float(ratio(sums["rand_own"], sums["images"])[0]),
        "vi_ods": float(voi.min()),
        "vi_ods_threshold": float(thresholds[voi.argmin()]),
        "vi_ois": float(ratio(sums["voi_own"], sums["images"])[0]),
    }
    return figures if sums["images"][0] else dict.fromkeys(figures, float("nan"))
