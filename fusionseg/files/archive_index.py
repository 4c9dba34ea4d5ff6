"""The files in a zip or tar archive: their names, and where their bytes are."""

import os
import struct
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from unicodedata import normalize

from fusionseg.config.errors import UserError
from fusionseg.files.byte_ranges import ByteRange, InflatedBytes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.files.tar_members import TarPlace, tar_members
from fusionseg.files.zip_members import ZipPlace, zip_members

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""The ends of the names, in lower case, of archives that can be read."""

FOLDER = -1
"""What stands for a folder where a file has its number."""


class ArchiveIndex:
    """The names of an archive's files, and where they are: some 100 bytes for each.

    Of members of the same name the last one counts, as in unpacking. Links in a tar file are the files that
    they lead to. Names are in Unicode's composed form (NFC).

    Args:
        file: The archive; the end of its name tells the kind.
        source: Its bytes.
        state: What tells it from others, and from what it was before a change.
        below: The folder that its files are put in; empty for none.

    Attributes:
        folders: The names in each folder, which is known by its path: files with their numbers, folders with
            `FOLDER`. The path of the top is empty.
        first: The path of the first file that lies in a folder of the archive, as one at its top (`README`)
            may lie beside anything; without such a file that of the first one, and empty without any.

    Raises:
        UserError: The archive is damaged or cut short, encrypted, compressed in a way that is not read, or
            has names that lead out of it.
    """

    def __init__(
        self, file: ReadablePath, source: ByteRange, state: tuple[object, ...], below: str = ""
    ) -> None:
        self.file = file
        self.state = state
        self.below = below
        self.folders: dict[str, dict[str, int]] = {"": {}}
        self.first = ""
        self._places = array("q")
        self._width = 1
        kind = file.name.lower()
        is_plain = kind.endswith((".zip", ".tar"))
        self._source = source if is_plain else InflatedBytes(source, wbits=31)
        self._kind: type[ZipPlace | TarPlace] = ZipPlace if kind.endswith(".zip") else TarPlace
        with self._as_user_errors():
            self._list()

    def shown(self, path: str) -> str:
        """The path of a file with that of the archive, for messages."""
        return os.path.join(self.file, path[len(self.below) :].lstrip("/"))

    def place(self, number: int) -> ZipPlace | TarPlace:
        """Where a file is."""
        start = self._width * number
        return self._kind(*self._places[start : start + self._width])

    def bytes_of(self, number: int) -> ByteRange:
        """The content of a file, to be read at any place, as an archive inside of the archive has to be.

        Raises:
            UserError: The archive is damaged.
        """
        with self._as_user_errors():
            return self.place(number).bytes_in(self._source)

    def read(self, number: int) -> bytes:
        """The content of a file.

        Raises:
            UserError: The archive is damaged.
        """
        with self._as_user_errors():
            return self.place(number).read(self._source)

    def _list(self) -> None:
        links = {}
        in_folder = ""
        members = zip_members(self._source) if self._kind is ZipPlace else tar_members(self._source)
        for name, place in members:
            path = self._checked(name)
            if place is None:
                self._folder(path)
            elif isinstance(place, str):
                links[path] = place
            else:
                self.first = self.first or path
                if not in_folder and "/" in path[len(self.below) :].lstrip("/"):
                    self.first = in_folder = path
                self._width = len(place)
                self._enter(path, len(self._places) // self._width)
                self._places.extend(place)
        for path, target in links.items():
            folder, _, name = normalize("NFC", f"{self.below}/{target}").strip("/").rpartition("/")
            number = self.folders.get(folder, {}).get(name, FOLDER)
            if number != FOLDER:
                self._enter(path, number)

    def _enter(self, path: str, number: int) -> None:
        folder, _, name = path.rpartition("/")
        self._folder(folder)[name] = number

    def _folder(self, path: str) -> dict[str, int]:
        """The names in a folder, which is made if it is new."""
        known = self.folders.get(path)
        if known is None:
            known = self.folders[path] = {}
            self._enter(path, FOLDER)
        return known

    def _checked(self, name: str) -> str:
        """The path of a member, without what means nothing."""
        parts = [part for part in f"{self.below}/{name}".split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise UserError(f"the name {name!r}, which leads out of it,")
        return normalize("NFC", "/".join(parts))

    @contextmanager
    def _as_user_errors(self) -> Iterator[None]:
        """Turns what is wrong with an archive into a line that names it."""
        try:
            yield
        except UserError as error:
            raise UserError(
                f"expected an archive as it is downloaded, found {error} in {self.file}: download it again, "
                "or unpack it"
            ) from error
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            zlib.error,
            struct.error,
            EOFError,
            NotImplementedError,
            UnicodeError,
        ) as error:
            raise UserError(
                f"expected a complete archive, found {error} in {self.file}: download it again"
            ) from error
