"""The classes: how frequent they are in each split, their instances, and their weights in a balanced loss."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fusionseg.inspection.charts import frequencies_chart
from fusionseg.inspection.class_figures import (
    ClassFigures,
    absent,
    balanced_weights,
    class_figures,
    imbalance,
)
from fusionseg.inspection.findings import Findings
from fusionseg.inspection.numbers import number, percent
from fusionseg.pages.blocks import Block, Cell, Chart, Column, Section, Table, Words
from fusionseg.studies.report.numbers import DASH, count, listed

MOST = 40
"""Classes that are drawn; the table has all."""

Figures = Mapping[str, Sequence[ClassFigures]]
"""The figures of each class, by split."""


def section(found: Findings) -> Section:
    """A chart and a table of the classes; a sentence where no pixel has a class."""
    if not any(facts.class_pixels.any() for facts in found.facts.values()):
        return Section("Classes", [Words(["No pixel has a class: only regions can be learned."])])
    figures = {split: class_figures(facts, found.classes) for split, facts in found.facts.items()}
    blocks: list[Block] = [Words(_words(found)), _chart(found, figures), _table(found, figures)]
    return Section("Classes", blocks)


def _words(found: Findings) -> list[str]:
    """How many classes there are, how unequal they are, and which are missing where."""
    classes = found.classes
    things = len(classes.things)
    train = found.facts["train"]
    words = [
        f"{count(len(classes), 'class', 'classes')}: {things} of things, which can be counted, and "
        f"{len(classes) - things} of stuff."
    ]
    ratio = imbalance(train)
    if len(classes) > 1 and math.isfinite(ratio):
        words.append(
            f"In train the most frequent class has {number(round(ratio, 1) if ratio < 10 else round(ratio))} "
            "times the pixels of the rarest one."
        )
    for split, facts in found.facts.items():
        if missing := absent(facts, classes):
            some = f" among the {facts.images} images counted" if facts.images < facts.total else ""
            words.append(f"No pixel in {split}{some}: {listed(missing, most=20)}.")
    return words


def _chart(found: Findings, figures: Figures) -> Chart:
    """The classes that occur, the most frequent in train first; of many the most and the least frequent."""
    names = found.classes.names
    every = np.nan_to_num([[one.pixels for one in column] for column in figures.values()])
    # the last key, which is train, goes first
    order = [i for i in np.lexsort(-every[::-1]).tolist() if every[:, i].any()]
    kept = order if len(order) <= MOST else order[: MOST // 2] + order[-MOST // 2 :]
    some = f" The {MOST // 2} most and the {MOST // 2} least frequent ones." if len(kept) < len(order) else ""
    shares = {split: [column[i].pixels for i in kept] for split, column in figures.items()}
    caption = f"The share of each class of the labelled pixels, on a logarithmic axis.{some}"
    return Chart("frequencies", caption, frequencies_chart(shares, [names[i] for i in kept]))


def _table(found: Findings, figures: Figures) -> Table:
    """All figures of all classes."""
    weights = balanced_weights(found.facts["train"])
    things = bool(found.classes.things)
    columns = [Column("class"), Column("kind")]
    columns += [Column(f"pixels, {split}", True, "share of the labelled pixels") for split in figures]
    columns.append(Column("weight", True, "class weight of a loss with class_weights: balanced"))
    columns += [Column(f"images, {split}", True, "share of the images that show it") for split in figures]
    if things:
        columns += [
            Column(f"things, {split}", True, "regions most pixels of which are of the class")
            for split in figures
        ]
        columns.append(Column("area", True, "median of the things in train, in pixels of the label files"))
    rows = [_row(found, figures, i, things, weights) for i in range(len(found.classes))]
    notes = ["Weight: that of class_weights: balanced, the median share of a class over the class's share."]
    if things:
        notes.append(
            "Things: regions most pixels of which are of the class. Area: the median of those in train, in "
            "pixels of the label files."
        )
    return Table("classes", "Figures of each class.", columns, rows, [], notes)


def _row(
    found: Findings, figures: Figures, i: int, things: bool, weights: Sequence[float] | None
) -> list[Cell]:
    """The figures of a class."""
    classes = found.classes
    own = {split: column[i] for split, column in figures.items()}
    red, green, blue = classes.colors[i]
    missing = [split for split, facts in found.facts.items() if not facts.class_pixels[i]]
    detail = "in no split" if len(missing) == len(found.facts) else f"not in {listed(missing)}"
    cells = [
        Cell(
            classes.names[i],
            detail=detail if missing else "",
            bold=bool(missing),
            swatch=f"#{red:02x}{green:02x}{blue:02x}",
        ),
        Cell("thing" if i in classes.things else "stuff"),
        *(Cell(percent(one.pixels), one.pixels) for one in own.values()),
        Cell(f"{weights[i]:.3g}", weights[i]) if weights and weights[i] else Cell(DASH),
        *(Cell(percent(one.images), one.images) for one in own.values()),
    ]
    if things:
        cells += [_count(one.instances) for one in own.values()]
        cells.append(_count(own["train"].area))
    return cells


def _count(value: float | None) -> Cell:
    """A number, or a dash where there is none."""
    return Cell(DASH) if value is None else Cell(number(value), value)
