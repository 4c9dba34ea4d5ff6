"""The additive sums of one image for the benchmarks of boundaries, regions, classes and instances."""

from collections.abc import Iterable

import numpy as np

from fusionseg.metrics.boundary_curve import CURVE_COLUMNS, boundary_counts, levels, own_best
from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.mean_ious import SemanticTable, semantic_sums_of, semantic_table
from fusionseg.metrics.region_curve import (
    RegionCurve,
    region_curve,
    region_curve_sums,
    ultrametric_partitions,
)
from fusionseg.metrics.thinning import Masks, thinned
from fusionseg.sample import VOID, Array, Counted, IntMap, Truth


def boundary_benchmark_sums(answer: Array, truth: Truth, thresholds: Floats, max_distance: float) -> Counted:
    """The counts of one image at all thresholds (`curve`), and at the best one for it (`own`).

    All annotators count; their boundaries are those of their regions, thinned, as BSDS500 has drawn them.
    Zeros where nobody labeled a pixel.

    Args:
        answer: A soft map in [0, 1], or region ids, whose boundaries are the same at all thresholds, (H, W).
        truth: The labels of the image.
        thresholds: Where a soft map is cut.
        max_distance: Largest distance of two matched pixels, as a fraction of the image's diagonal.
    """
    drawn = [boundaries(region, region != 0) for region in annotators(truth)]
    if not drawn:
        curve = np.zeros((len(thresholds), len(CURVE_COLUMNS)), np.int64)
        return {"curve": curve, "own": curve[0]}
    predicted: Iterable[Masks] = levels(answer, thresholds)
    if not np.issubdtype(answer.dtype, np.floating):
        predicted = [boundaries(answer, np.ones(answer.shape, bool))] * len(thresholds)
    counts = boundary_counts(
        predicted, list(thinned(np.stack(drawn))), max_distance * float(np.hypot(*answer.shape))
    )
    return {"curve": counts, "own": own_best(counts)}


def region_benchmark_sums(answer: Array, truth: Truth, thresholds: Floats) -> Counted:
    """`region_curve_sums` of one image against all annotators; zeros where nobody labeled a pixel.

    Args:
        answer: Region ids (H, W), the same at all thresholds, or an ultrametric map (2H + 1, 2W + 1).
        truth: The labels of the image.
        thresholds: Where an ultrametric map is cut.
    """
    truths = annotators(truth)
    if not truths:
        ones = np.ones(len(thresholds))
        nothing = RegionCurve(*(np.zeros(()), ones, np.zeros(()), np.zeros(()), ones, ones, ones))
        return {name: np.zeros_like(value) for name, value in region_curve_sums(nothing).items()}
    soft = np.issubdtype(answer.dtype, np.floating)
    partitions = ultrametric_partitions(answer, thresholds) if soft else [answer] * len(thresholds)
    return region_curve_sums(region_curve(partitions, truths))


def semantic_benchmark_sums(answer: IntMap, truth: IntMap, num_classes: int) -> Counted:
    """`semantic_sums_of` one image of class ids (H, W); a predicted `VOID` is no class."""
    maps = [np.where(ids == VOID, num_classes, ids) for ids in (answer, truth)]
    return semantic_sums_of(semantic_table(maps[0], maps[1], num_classes))


def no_semantic_benchmark_sums(num_classes: int) -> Counted:
    """`semantic_benchmark_sums` of no image."""
    table = np.zeros((num_classes, num_classes + 1), np.int64)
    return semantic_sums_of(SemanticTable(table, np.zeros((num_classes, 2), np.int64)))


def annotators(truth: Truth) -> list[IntMap]:
    """The region maps of all who labeled a pixel of an image."""
    return [region for region in (truth.region, *truth.others) if region.any()]
