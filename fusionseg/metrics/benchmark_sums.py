"""The additive sums of one image for the benchmarks of boundaries, regions, classes and instances."""

from collections.abc import Iterable

import numpy as np

from fusionseg.config.errors import UserError
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
        answer: A soft map in [0, 1], boundary pixels (bool), or region ids (integers), both of which are the
            same at all thresholds, (H, W).
        truth: The labels of the image.
        thresholds: Where a soft map is cut.
        max_distance: Largest distance of two matched pixels, as a fraction of the image's diagonal.

    Raises:
        UserError: If a soft map has other values.
    """
    drawn = [boundaries(region, region != 0) for region in annotators(truth)]
    if not drawn:
        curve = np.zeros((len(thresholds), len(CURVE_COLUMNS)), np.int64)
        return {"curve": curve, "own": curve[0]}
    radius = max_distance * float(np.hypot(*answer.shape))
    counts = boundary_counts(_boundary_maps(answer, thresholds), thinned(np.stack(drawn)), radius)
    return {"curve": counts, "own": own_best(counts)}


def _boundary_maps(answer: Array, thresholds: Floats) -> Iterable[Masks]:
    """The boundary map of an answer at each threshold."""
    if np.issubdtype(answer.dtype, np.floating):
        return levels(in_unit(answer, "a soft map"), thresholds)
    drawn = answer if answer.dtype == bool else boundaries(answer, np.ones(answer.shape, bool))
    return [drawn] * len(thresholds)


def in_unit(values: Array, name: str) -> Array:
    """The values.

    Raises:
        UserError: If some are not in [0, 1].
    """
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # NaN is neither
        raise UserError(f"expected {name} of values in [0, 1], found {values.min():g}..{values.max():g}")
    return values


def region_benchmark_sums(answer: Array, truth: Truth, thresholds: Floats) -> Counted:
    """`region_curve_sums` of one image against all annotators; zeros where nobody labeled a pixel.

    Args:
        answer: Region ids (H, W), the same at all thresholds, or an ultrametric map (2H + 1, 2W + 1).
        truth: The labels of the image.
        thresholds: Where an ultrametric map is cut.

    Raises:
        UserError: If an ultrametric map has other values than those in [0, 1].
    """
    truths = annotators(truth)
    if not truths:
        ones = np.ones(len(thresholds))
        nothing = RegionCurve(*(np.zeros(()), ones, np.zeros(()), np.zeros(()), ones, ones, ones))
        return {name: np.zeros_like(value) for name, value in region_curve_sums(nothing).items()}
    partitions: Iterable[IntMap] = [answer] * len(thresholds)
    if np.issubdtype(answer.dtype, np.floating):
        partitions = ultrametric_partitions(in_unit(answer, "an ultrametric map"), thresholds)
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
