"""The windows in which an image is answered part by part."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fusionseg.engine.tiles import starts
from fusionseg.networks.backbone import STRIDE


class Span(NamedTuple):
    """Rows or columns of a window, in pixels of the image.

    Attributes:
        begin: The first that is read.
        end: What follows the last that is read.
        first: The first that the window answers for: its core begins in the middle of the overlap.
        last: What follows the last that it answers for.
    """

    begin: int
    end: int
    first: int
    last: int

    @property
    def core(self) -> slice:
        """What the window answers for, counted from its begin."""
        return slice(self.first - self.begin, self.last - self.begin)


class Window(NamedTuple):
    """A part of an image that is read and answered alone.

    Attributes:
        row: Its number from the top.
        column: Its number from the left.
        rows: Its rows.
        columns: Its columns.
    """

    row: int
    column: int
    rows: Span
    columns: Span

    @property
    def core(self) -> tuple[slice, slice]:
        """What the window answers for, in the window's own coordinates."""
        return self.rows.core, self.columns.core


@dataclass(frozen=True)
class WindowGrid:
    """The windows of an image.

    Args:
        height: Height of the image in pixels.
        width: Its width.
        tile: Height and width of a window in pixels of the network's input, a multiple of 32.
        overlap: How many of these two neighboring windows share at least, a multiple of 32.
        scale: The size of the network's input relative to the image.
    """

    height: int
    width: int
    tile: int
    overlap: int
    scale: float = 1.0

    @property
    def rows(self) -> list[Span]:
        """The rows of the windows, from the top."""
        return _spans(self.height, self.tile, self.overlap, self.scale)

    @property
    def columns(self) -> list[Span]:
        """The columns of the windows, from the left."""
        return _spans(self.width, self.tile, self.overlap, self.scale)

    @property
    def margin(self) -> int:
        """How far from a border both windows are compared, in pixels of the image: an eighth of the overlap.

        There three eighths of the overlap and more lie between a pixel and the end of either window.
        """
        return max(1, round(self.overlap / self.scale) // 8)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        for row, rows in enumerate(self.rows):
            for column, columns in enumerate(self.columns):
                yield Window(row, column, rows, columns)


def _spans(side: int, tile: int, overlap: int, scale: float) -> list[Span]:
    """The spans of one side, which begin at multiples of 32 of the network's input."""
    seen = max(1, round(side * scale))
    places = starts(seen + -seen % STRIDE, tile, overlap)
    begins = [round(place / scale) for place in places]
    ends = [*(round((place + tile) / scale) for place in places[:-1]), side]
    borders = [(begin + end) // 2 for begin, end in zip(begins[1:], ends[:-1], strict=True)]
    return [Span(*one) for one in zip(begins, ends, [0, *borders], [*borders, side], strict=True)]
