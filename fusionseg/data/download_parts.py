"""What is there of the official download of a data set."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from typing_extensions import override


class DownloadPart(NamedTuple):
    """How much is there of a part of an official download.

    Args:
        file: The archive or folder that has it.
        what: What is counted, such as `photos of val`.
        found: How many there are.
        official: How many the official download has.
        effect: What follows where some are missing, to end the sentence; empty for nothing else.

    Examples:
        >>> print(DownloadPart("train2017.zip", "photos of train", 100, 118_287))
        train2017.zip: 100 of 118,287 photos of train
    """

    file: str
    what: str
    found: int
    official: int
    effect: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.file}: {self.found:,} of {self.official:,} {self.what}"


def shortfalls(parts: Iterable[DownloadPart]) -> Iterator[str]:
    """A line for each part of a download of which something is missing."""
    for part in parts:
        if part.found < part.official:
            yield f"{part}{part.effect}: unpack or download it again, unless you want a part of it"
