"""Training views with the targets of heads, and the heads' settings."""

from fusionseg.inspection.chosen_heads import ShownHead
from fusionseg.inspection.findings import Findings
from fusionseg.inspection.numbers import percent
from fusionseg.inspection.views import EPOCHS, View
from fusionseg.pages.blocks import Block, Cell, Column, Gallery, Section, Shown, Table, Words
from fusionseg.pages.embedded import data_address
from fusionseg.studies.report.numbers import listed

WIDTH = 640
"""Pixels; wider views are made smaller, in which thin boundaries would get lost."""


def section(found: Findings) -> Section:
    """How the views were made, a table of the heads, and a row of pictures for each image and epoch."""
    data = found.data
    height, width = data.crop_size
    unlabelled = sum(view.unlabelled for view in found.views) / len(found.views)
    words = [
        f"Views exactly as training sees them: the first images of epoch 0 with seed {data.seed}, each as "
        f"epochs {listed(range(EPOCHS))} see it, in crops of {height} x {width} pixels at "
        f"{data.input_size.described}. Click on a picture to enlarge its row.",
        f"Black is unlabelled: {percent(unlabelled)} of the pixels of these views, those beyond the images "
        "included.",
    ]
    rows = [(f"{view.name}, epoch {view.epoch}", _pictures(view)) for view in found.views]
    caption = "The view, its regions, and what each head learns of it."
    blocks: list[Block] = [Words(words), _heads(found), Gallery(caption, rows)]
    return Section("Training views", blocks)


def _pictures(view: View) -> list[Shown]:
    """The pictures of a view."""
    return [Shown(title, data_address(picture, WIDTH)) for title, picture in view.pictures.items()]


def _heads(found: Findings) -> Table:
    """What the picture of each head's target shows, and the head's settings."""
    drawn = {title for view in found.views for title in view.pictures}
    rows = [
        [Cell(name), Cell(f"{shown.shows} {_settings(shown)}".strip())]
        for name, shown in found.heads.items()
        if name in drawn
    ]
    columns = [Column("head"), Column("its picture shows")]
    caption = "The heads whose targets are shown, those of the configuration first, the others with defaults."
    return Table("heads", caption, columns, rows, [])


def _settings(shown: ShownHead) -> str:
    """What the configuration sets of a head."""
    return f"Configured: {shown.settings or 'defaults'}." if shown.configured else ""
