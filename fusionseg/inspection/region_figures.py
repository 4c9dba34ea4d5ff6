"""How many regions the images of a split have, how large they are, and which are hard to find."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fusionseg.data.input_size import InputSize
from fusionseg.inspection.split_facts import SplitFacts

MIN_AREA = 20
"""Pixels of the label file; heads merge smaller regions into others unless `min_area` says otherwise."""


class RegionFigures(NamedTuple):
    """Figures of the regions of a split; NaN where there are none.

    Args:
        regions: Their number.
        per_image: Their number in an image: smallest, median, mean, largest.
        area: Their area in pixels of the label files: smallest, first quartile, median, third quartile,
            largest.
        small: The share with fewer pixels than `MIN_AREA`.
        apart: The share in several parts that do not touch, not even at a corner.
        cut: The share that is higher or wider than a crop, before any random zoom.
        touching: The share of the instances of things that touch another one of their class, which a map of
            classes cannot tell apart.
        crop: The share of an image that a crop shows before any random zoom, in the median.
    """

    regions: int
    per_image: Sequence[float]
    area: Sequence[float]
    small: float
    apart: float
    cut: float
    touching: float
    crop: float


def region_figures(
    facts: SplitFacts, things: Sequence[int], crop_size: tuple[int, int], seen_at: InputSize
) -> RegionFigures:
    """The figures of the regions of a split.

    Args:
        facts: The split.
        things: Ids of the countable classes.
        crop_size: Height and width of a crop.
        seen_at: At which size images are seen.
    """
    regions = facts.regions
    numbers = facts.region_numbers
    instances = np.isin(regions.label, things)
    inputs = np.array([seen_at.of((int(height), int(width))) for height, width in facts.sizes])
    zooms = np.repeat(inputs / facts.sizes, numbers, axis=0)
    larger = (regions.height * zooms[:, 0] > crop_size[0]) | (regions.width * zooms[:, 1] > crop_size[1])
    seen = np.minimum(1, np.array(crop_size) / inputs).prod(1)
    quartiles = np.percentile(regions.area, [0, 25, 50, 75, 100]) if len(regions.area) else np.full(5, np.nan)
    return RegionFigures(
        len(regions.area),
        [float(numbers.min()), float(np.median(numbers)), float(numbers.mean()), float(numbers.max())],
        quartiles.tolist(),
        _share(regions.area < MIN_AREA),
        _share(regions.parts > 1),
        _share(larger),
        _share(regions.touches[instances]),
        float(np.median(seen)),
    )


def _share(found: np.ndarray) -> float:
    """The share of True; NaN of nothing."""
    return float(found.mean()) if found.size else float("nan")
