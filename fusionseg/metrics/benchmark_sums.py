"""The additive sums of one image for the benchmarks of boundaries, regions, classes and instances."""

from collections.abc import Iterable

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.metrics.boundary_curve import (
    CURVE_COLUMNS,
    boundary_counts,
    boundary_curve_figures,
    levels,
    own_best,
)
from fusionseg.metrics.boundary_rules import BoundaryRules
from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.edges import boundaries
from fusionseg.metrics.mean_ious import SemanticTable, semantic_sums_of, semantic_table
from fusionseg.metrics.region_curve import (
    RegionCurve,
    region_curve,
    region_curve_sums,
    ultrametric_partitions,
)
from fusionseg.metrics.suppression import crispness, suppressed
from fusionseg.metrics.thinning import Masks, thinned
from fusionseg.sample import VOID, Array, Counted, IntMap, Truth


def boundary_benchmark_sums(answer: Array, truth: Truth, thresholds: Floats, rules: BoundaryRules) -> Counted:
    """What one image adds to `boundary_benchmark_figures`.

    All annotators count; their boundaries are those of their regions, thinned, as BSDS500 has drawn them.
    Zeros where nobody labeled a pixel.

    Args:
        answer: A soft map in [0, 1], boundary pixels (bool), or region ids (integers), both of which are the
            same at all thresholds, (H, W).
        truth: The labels of the image.
        thresholds: Where a soft map is cut.
        rules: How the map is prepared and matched.

    Returns:
        The counts at all thresholds (`curve`) and at the best one for the image (`own`), the crispness of a
        soft map that is not empty, and 1 for it (`crisp`).

    Raises:
        UserError: If a soft map has other values.
    """
    drawn = [boundaries(region, region != 0) for region in annotators(truth)]
    if not drawn:
        return no_boundary_benchmark_sums(len(thresholds))
    maps, crisp = _boundary_maps(answer, thresholds, rules)
    counts = boundary_counts(maps, thinned(np.stack(drawn)), rules.radius(answer.shape), rules.thin)
    crisps = np.zeros(2) if np.isnan(crisp) else np.array([crisp, 1.0])
    return {"curve": counts, "own": own_best(counts), "crisp": crisps}


def no_boundary_benchmark_sums(thresholds: int) -> Counted:
    """`boundary_benchmark_sums` of no image, for a number of thresholds."""
    curve = np.zeros((thresholds, len(CURVE_COLUMNS)), np.int64)
    return {"curve": curve, "own": curve[0], "crisp": np.zeros(2)}


def boundary_benchmark_figures(sums: Counted, thresholds: Floats) -> dict[str, float]:
    """`boundary_curve_figures` of a set of images, and the mean `crispness` of soft maps if one has any.

    Args:
        sums: The sum of `boundary_benchmark_sums` over the images.
        thresholds: The thresholds (T,), ascending.
    """
    figures = boundary_curve_figures(sums["curve"], sums["own"], thresholds)
    total, images = sums["crisp"].tolist()
    return figures | ({"crispness": total / images} if images else {})


def _boundary_maps(answer: Array, thresholds: Floats, rules: BoundaryRules) -> tuple[Iterable[Masks], float]:
    """The boundary map of an answer at each threshold, and its crispness; NaN where it is not soft."""
    if np.issubdtype(answer.dtype, np.floating):
        strength = in_unit(answer, "a soft map").astype(np.float64, copy=False)  # which OpenCV knows
        return soft_boundaries(strength, thresholds, rules)
    drawn = answer if answer.dtype == bool else boundaries(answer, np.ones(answer.shape, bool))
    return [drawn] * len(thresholds), float("nan")


def soft_boundaries(
    strength: Floats, thresholds: Floats, rules: BoundaryRules
) -> tuple[Iterable[Masks], float]:
    """The boundary map of a soft map (H, W) at each threshold, and the crispness; NaN for an empty one."""
    lines = suppressed(strength)
    return levels(lines if rules.nms else strength, thresholds), crispness(strength, lines)


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
