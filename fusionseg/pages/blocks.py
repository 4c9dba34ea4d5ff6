"""What a report is made of, whatever it is written as: words, tables, charts, pictures, logs in sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from fusionseg.files.atomic import Json

Value: TypeAlias = str | int | float | bool | None
"""What a table is sorted by, and what a CSV file holds."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is shown.
        value: What the cell is sorted by; the text where left out.
        detail: What is shown below in small letters, such as an interval.
        bold: Whether the text is bold, which nothing is but what is significant.
        hint: What is shown where the pointer rests.
        swatch: A color, such as `#804080`, that is shown before the text.
    """

    text: str
    value: Value = None
    detail: str = ""
    bold: bool = False
    hint: str = ""
    swatch: str = ""

    @property
    def key(self) -> Value:
        """What the cell is sorted by."""
        return self.text if self.value is None else self.value


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        numeric: Whether it holds numbers, which are aligned to the right.
        hint: What the heading means, shown where the pointer rests.
        code: Whether it holds commands or paths, set in a typewriter face.
    """

    title: str
    numeric: bool = False
    hint: str = ""
    code: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page, and of a CSV, a Markdown and a LaTeX file.

    Attributes:
        name: The name of its files.
        caption: What it shows.
        columns: Its columns.
        rows: A cell for each column in each row.
        records: The rows of the CSV file, with one value in each column.
        notes: What is said below.
        folded: Whether the page shows the caption alone until it is opened.
    """

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    records: Sequence[Mapping[str, Value]]
    notes: Sequence[str] = ()
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart as a specification of Vega-Lite, without colors of text and background.

    Attributes:
        name: Its name in the page, such as `front`.
        caption: What it shows.
        spec: The specification.
        wide: Whether it has a width of its own and is scrolled where that is more than the page has.
    """

    kind: ClassVar[str] = "chart"
    name: str
    caption: str
    spec: Json
    wide: bool = False


@dataclass(frozen=True)
class Words:
    """Paragraphs.

    Attributes:
        paragraphs: The paragraphs, without any markup.
        stands_out: Whether they are set apart from the others.
    """

    kind: ClassVar[str] = "words"
    paragraphs: Sequence[str]
    stands_out: bool = False


@dataclass(frozen=True)
class Shown:
    """A picture.

    Attributes:
        title: What is shown above it.
        source: A `data:` address.
        detail: What is shown below it.
    """

    title: str
    source: str
    detail: str = ""


@dataclass(frozen=True)
class Gallery:
    """Rows of pictures that are to be compared.

    Attributes:
        caption: What they show.
        rows: The heading of each row and its pictures.
    """

    kind: ClassVar[str] = "gallery"
    caption: str
    rows: Sequence[tuple[str, Sequence[Shown]]]


@dataclass(frozen=True)
class Log:
    """The end of what a run printed, or another text to be read as it is.

    Attributes:
        title: What it is of.
        text: The text.
    """

    kind: ClassVar[str] = "log"
    title: str
    text: str


Block: TypeAlias = Table | Chart | Words | Gallery | Log


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        title: Its heading.
        blocks: What stands in it.
    """

    title: str
    blocks: Sequence[Block] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The name by which links find the section."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())
