"""What is asked of a path that is only read: a file on disk, or one inside of an archive."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal, Protocol


class ReadablePath(Protocol):
    """The methods of `pathlib.Path` that read; see there.

    Every `Path` is one, and so is what `fusionseg.files.archives.tree` gives for a file inside of an archive.
    Its text, as `str` and `os.fspath` give it, is for messages: only `open`, `read_bytes` and `read_text`
    read it.
    """

    @property
    def name(self) -> str:
        """The last part of the path."""

    @property
    def stem(self) -> str:
        """The name without its suffix."""

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on; empty without one."""

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts of the path."""

    @property
    def parent(self) -> "ReadablePath":
        """The folder that it is in."""

    def __hash__(self) -> int:
        """As of any key of a dictionary."""

    def __fspath__(self) -> str:
        """The path as text."""

    def __truediv__(self, key: str, /) -> "ReadablePath":
        """A path below this folder."""

    def __lt__(self, other: Any, /) -> bool:
        """Whether it comes before another path."""

    def exists(self) -> bool:
        """Whether there is such a file or folder."""

    def is_file(self) -> bool:
        """Whether there is such a file."""

    def is_dir(self) -> bool:
        """Whether there is such a folder."""

    def iterdir(self) -> "Iterator[ReadablePath]":
        """The files and folders of this folder, in any order."""

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """The file, to be read."""

    def read_bytes(self) -> bytes:
        """The content of the file."""

    def read_text(self, encoding: str | None = None) -> str:
        """The content of the file as text."""

    def relative_to(self, other: os.PathLike[str], /) -> PurePath:
        """The path as seen from a folder above it."""


def as_path(path: str | ReadablePath) -> ReadablePath:
    """What names a file as a path."""
    return Path(path) if isinstance(path, str) else path
