"""Paths of files inside of archives, which answer as `pathlib.Path` does where they are read."""

import functools
import io
import os
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, BinaryIO, Literal
from unicodedata import normalize

from typing_extensions import override

from fusionseg.files.archive_index import FOLDER, ArchiveIndex
from fusionseg.files.byte_ranges import ByteRange, FileBytes
from fusionseg.files.readable_path import ReadablePath


class ArchivePath:
    """A file or folder inside of archives, as `tree` gives it. It can be pickled.

    Args:
        union: The archives.
        folder: The path of the folder that it is in; empty at the top.
        last: Its name; empty for the top.
    """

    __slots__ = ("folder", "last", "union")

    def __init__(self, union: "ArchiveUnion", folder: str, last: str) -> None:
        self.union = union
        self.folder = folder
        self.last = last

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.last or self.union.base.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on; empty without one."""
        return PurePosixPath(self.name).suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts of the path."""
        return PurePath(self).parts

    @property
    def parent(self) -> ReadablePath:
        """The folder that it is in."""
        return self.union.at(self.folder) if self.last else self.union.base.parent

    @property
    def archive(self) -> Path:
        """The archive that it is in, as it lies on disk; of a folder the first one."""
        found = self._file() or (self.union.archives[0], FOLDER)
        return on_disk(found[0].file)

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """As the function `fingerprint`."""
        index, number = self._opened()
        place = index.place(number)
        return (*index.state, self._inner, place.size, place.mark)

    @override
    def __str__(self) -> str:
        return os.fspath(self)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self)!r})"

    def __fspath__(self) -> str:
        found = self._file()
        return found[0].shown(self._inner) if found else os.fspath(self._place)

    def __truediv__(self, key: str | os.PathLike[str], /) -> ReadablePath:
        return self.union.at(self._inner, key)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchivePath) and os.fspath(self) == os.fspath(other)

    @override
    def __hash__(self) -> int:
        return hash(os.fspath(self))

    def __lt__(self, other: Any, /) -> bool:
        if isinstance(other, ArchivePath) and other.folder == self.folder:
            return self.last < other.last
        return PurePath(self) < PurePath(other)

    def __gt__(self, other: Any, /) -> bool:
        return PurePath(self) > PurePath(other)

    def exists(self) -> bool:
        """Whether there is such a file or folder; always, as `tree` gives no others."""
        return True

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self._file() is not None

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self._file() is None

    def iterdir(self) -> Iterator[ReadablePath]:
        """The files and folders of this folder, in any order.

        Raises:
            NotADirectoryError: It is a file.
        """
        if self._file():
            raise NotADirectoryError(f"expected a folder, found a file: {self}")
        yield from self.union.inside(self._inner)

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """The file, to be read; its content is in memory."""
        if mode != "rb":
            raise ValueError(f"expected the mode rb, as files in archives are only read, found {mode!r}")
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """The content of the file.

        Raises:
            UserError: It is damaged.
            IsADirectoryError: It is a folder.
        """
        index, number = self._opened()
        return index.read(number)

    def read_text(self, encoding: str | None = None) -> str:
        """The content of the file as text."""
        return io.TextIOWrapper(self.open("rb"), encoding=encoding).read()

    def relative_to(self, other: os.PathLike[str], /) -> PurePath:
        """The path as seen from a folder above it.

        Raises:
            ValueError: The folder is not above it.
        """
        if isinstance(other, ArchivePath) and other.union.base == self.union.base:
            return PurePosixPath(self._inner).relative_to(other._inner)
        return self._place.relative_to(other)

    @property
    def byte_range(self) -> ByteRange:
        """The content of the file, to be read at any place."""
        index, number = self._opened()
        return index.bytes_of(number)

    @property
    def _inner(self) -> str:
        """The path from the top on."""
        return f"{self.folder}/{self.last}" if self.folder else self.last

    @property
    def _place(self) -> PurePath:
        """Where unpacking would put it."""
        return PurePath(self.union.base, self._inner)

    def _file(self) -> "tuple[ArchiveIndex, int] | None":
        """The archive of this file, and the file's number; None of a folder."""
        return self.union.file(self.folder, self.last)

    def _opened(self) -> "tuple[ArchiveIndex, int]":
        if (found := self._file()) is None:
            raise IsADirectoryError(f"expected a file, found a folder: {self}")
        return found


class ArchiveUnion:
    """A folder, and archives whose files are taken to lie in it.

    Args:
        base: The folder, or an archive in its place.
        archives: The archives; of files of the same path the first one counts.
    """

    def __init__(self, base: Path, archives: tuple[ArchiveIndex, ...] = ()) -> None:
        self.base = base
        self.archives = archives

    def at(self, *parts: str | os.PathLike[str]) -> ReadablePath:
        """What lies at a path below the folder: on disk, or else in an archive."""
        path = "/".join(PurePosixPath(*parts).parts)
        folder, _, name = normalize("NFC", path).rpartition("/")
        unpacked = self.base / path
        in_archive = any(name in index.folders.get(folder, {}) for index in self.archives)
        is_top = not path and bool(self.archives)
        is_inside = is_top or (in_archive and not unpacked.is_file())
        return ArchivePath(self, folder, name) if is_inside else unpacked

    def file(self, folder: str, name: str) -> tuple[ArchiveIndex, int] | None:
        """The archive that has a file, and the file's number; None where there is none."""
        for index in self.archives:
            number = index.folders.get(folder, {}).get(name, FOLDER)
            if number != FOLDER:
                return index, number
        return None

    def inside(self, folder: str) -> Iterator[ReadablePath]:
        """What is in a folder, on disk and in the archives."""
        names = dict.fromkeys(name for index in self.archives for name in index.folders.get(folder, ()))
        place = self.base / folder
        if place.is_dir():
            for path in place.iterdir():
                name = normalize("NFC", path.name)
                if name not in names or path.is_file():
                    names.pop(name, None)
                    yield path
        for name in names:
            yield ArchivePath(self, folder, name)


def on_disk(path: ReadablePath) -> Path:
    """The file itself, or the archive that it is in."""
    return path.archive if isinstance(path, ArchivePath) else Path(path)


def fingerprint(path: ReadablePath) -> tuple[object, ...]:
    """What tells a file and its content from others: its path, size and time of change.

    Of a file in an archive these are the archive's, with the file's name in it, size, and its checksum in a
    zip file, or its place in a tar file.
    """
    if isinstance(path, ArchivePath):
        return path.fingerprint
    state = Path(path).stat()
    return str(Path(path).resolve()), state.st_size, state.st_mtime_ns


def opened_archive(file: ReadablePath, below: str) -> ArchiveIndex:
    """The files of an archive, listed once in a process as long as it does not change."""
    return _listed(file, below, fingerprint(file))


@functools.lru_cache(maxsize=8)
def _listed(file: ReadablePath, below: str, state: tuple[object, ...]) -> ArchiveIndex:
    source = file.byte_range if isinstance(file, ArchivePath) else FileBytes(Path(file))
    return ArchiveIndex(file, source, state, below)
