"""Tables with a row for each figure and a column for each split."""

from collections.abc import Mapping, Sequence

from fusionseg.inspection.findings import Findings
from fusionseg.pages.blocks import Cell, Column, Table

Rows = Mapping[str, Sequence[str]]
"""What is shown of each split, by the figure's name."""


def by_split(found: Findings, name: str, caption: str, rows: Rows, notes: Sequence[str] = ()) -> Table:
    """A table of figures of the counted splits.

    Args:
        found: What was found out.
        name: The table's name.
        caption: What it shows.
        rows: The figures.
        notes: What is said below.
    """
    columns = [Column(""), *(Column(split, numeric=True) for split in found.facts)]
    cells = [[Cell(title), *map(Cell, texts)] for title, texts in rows.items()]
    return Table(name, caption, columns, cells, [], notes)
