"""The regions: how many an image has, how large they are, and which are hard to find."""

from collections.abc import Sequence

import numpy as np

from fusionseg.inspection.charts import areas_chart, numbers_chart
from fusionseg.inspection.findings import Findings
from fusionseg.inspection.numbers import number, percent
from fusionseg.inspection.region_figures import MIN_AREA, RegionFigures, region_figures
from fusionseg.inspection.sections.by_split import by_split
from fusionseg.pages.blocks import Block, Chart, Section, Words


def section(found: Findings) -> Section:
    """A table and two histograms of the regions; a sentence where no pixel belongs to a region."""
    splits = found.facts
    if not any(len(facts.regions.area) for facts in splits.values()):
        return Section("Regions", [Words(["No pixel belongs to a region: only classes can be learned."])])
    data = found.data
    figures = [
        region_figures(facts, found.classes.things, data.crop_size, data.input_size)
        for facts in splits.values()
    ]
    sizes = splits["train"].sizes
    inputs = np.array([data.input_size.of((height, width)) for height, width in sizes.tolist()])
    crop = data.crop_size[0] * data.crop_size[1] * float(np.median(sizes.prod(1) / inputs.prod(1)))
    marks = {f"min_area {MIN_AREA}": MIN_AREA, "a crop": crop}
    numbers = {split: facts.region_numbers for split, facts in splits.items()}
    areas = {split: facts.regions.area for split, facts in splits.items()}
    blocks: list[Block] = [
        Words([f"A region is {found.classes.region}."]),
        by_split(
            found, "regions", "Numbers of regions, and areas in pixels of the label files.", _sizes(figures)
        ),
        by_split(
            found, "hard-regions", "Regions that are hard to find.", _hard(found, figures), _notes(found)
        ),
        Chart("region-numbers", "How many regions an image has.", numbers_chart(numbers)),
        Chart(
            "region-areas", "How large regions are; each step doubles the area.", areas_chart(areas, marks)
        ),
    ]
    return Section("Regions", blocks)


def _sizes(figures: Sequence[RegionFigures]) -> dict[str, list[str]]:
    """The numbers and areas of the regions of each split."""
    return {
        "regions": [number(one.regions) for one in figures],
        "in an image, median": [number(one.per_image[1]) for one in figures],
        "in an image, range": [_range(one.per_image[0], one.per_image[3]) for one in figures],
        "area, median": [number(one.area[2]) for one in figures],
        "area, middle half": [_range(one.area[1], one.area[3]) for one in figures],
        "area, range": [_range(one.area[0], one.area[4]) for one in figures],
    }


def _hard(found: Findings, figures: Sequence[RegionFigures]) -> dict[str, list[str]]:
    """The shares of the regions of each split that are hard to find."""
    height, width = found.data.crop_size
    rows = {
        f"smaller than {MIN_AREA} pixels": [percent(one.small) for one in figures],
        "in several parts": [percent(one.apart) for one in figures],
        f"larger than a crop ({height} x {width})": [percent(one.cut) for one in figures],
        "part of an image in a crop": [percent(one.crop) for one in figures],
    }
    if found.classes.things:
        rows["things that touch their like"] = [percent(one.touching) for one in figures]
    return rows


def _range(low: float, high: float) -> str:
    """From one number to another."""
    return f"{number(low)} to {number(high)}"


def _notes(found: Findings) -> list[str]:
    """What the rows mean."""
    notes = [
        f"Heads merge regions of fewer pixels than their min_area, by default {MIN_AREA}, into others. Parts "
        "do not touch, not even at a corner: heads that find connected regions cannot join them.",
        f"Crops: higher or wider than a crop at {found.data.input_size.described}, before any random zoom.",
    ]
    if found.classes.things:
        notes.append(
            "Things that touch another one of their class cannot be told apart by a map of classes alone."
        )
    return notes
