"""The report as what W&B shows: tables with intervals, charts as pictures, and images across variants."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fusionseg.pages.blocks import Chart, Section, Table, Value
from fusionseg.runs.wandb_report import TrackedTable, log_report
from fusionseg.sample import Picture
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.differing_images import DifferingImage
from fusionseg.visualize import panel

LIGHT = {"background": "white", "view": {"stroke": None}, "font": "Liberation Sans, Arial, sans-serif"}
WIDTH = 760
"""Pixels of a chart that is as wide as the page."""


def track(
    numbers: Analysis, made: Sequence[Section], images: Sequence[DifferingImage] | str, folder: Path
) -> str:
    """Logs the report as one W&B run.

    Args:
        numbers: The numbers of the report.
        made: Its sections.
        images: The images on which variants differ most, if there are any.
        folder: Where an offline run is kept.

    Returns:
        A line about where the run is; empty if it is online.
    """
    blocks = [block for section in made for block in section.blocks]
    tables = {block.name: _table(block) for block in blocks if isinstance(block, Table) and block.records}
    pictures = {block.name: chart_picture(block) for block in blocks if isinstance(block, Chart)}
    for image in () if isinstance(images, str) else images:
        pictures[f"images/{image.name}"] = panel(list(image.pictures.values()), list(image.pictures))
    return log_report(folder, numbers.asked.results.name, tables, pictures)


def chart_picture(chart: Chart) -> Picture:
    """A chart as a picture, on white."""
    import vl_convert

    spec = {**chart.spec, "config": LIGHT}
    if spec.get("width") == "container":
        spec["width"] = WIDTH
    with Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec, scale=2))) as file:
        return np.asarray(file.convert("RGB"))


def _table(table: Table) -> TrackedTable:
    """The records of a table; a column whose values are of several kinds, which W&B refuses, has texts."""
    names = list(dict.fromkeys(name for record in table.records for name in record))
    columns = [_of_one_kind([record.get(name) for record in table.records]) for name in names]
    return names, [list(row) for row in zip(*columns, strict=True)]


def _of_one_kind(values: Sequence[Value]) -> list[Value]:
    if len({_kind(value) for value in values} - {""}) < 2:
        return list(values)
    return [None if value is None else str(value) for value in values]


def _kind(value: Value) -> str:
    """What W&B tells values apart by; whole and other numbers are one kind."""
    if value is None:
        return ""
    return "number" if type(value) in (int, float) else type(value).__name__
