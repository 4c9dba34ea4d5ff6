"""Lists the members of a tar file, which may be compressed by gzip."""

import posixpath
import tarfile
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from typing import Literal, NamedTuple

from fusionseg.config.errors import UserError
from fusionseg.files.byte_ranges import ByteRange, ChunkReader, InflatedBytes, PartBytes, RangeReader


class TarPlace(NamedTuple):
    """Where a member is in a tar file.

    Attributes:
        start: Where its content begins.
        size: Bytes of its content.
    """

    start: int
    size: int

    @property
    def mark(self) -> int:
        """What tells it from other members: where it begins, as a tar file has no checksums of contents."""
        return self.start

    def read(self, source: ByteRange) -> bytes:
        """The content of the member.

        Raises:
            EOFError: The file ends before it.
        """
        content = source.read(self.start, self.size)
        if len(content) < self.size:
            raise EOFError("that it ends early")
        return content

    def bytes_in(self, source: ByteRange) -> ByteRange:
        """The content of the member, to be read at any place."""
        return PartBytes(source, self.start, self.size)


def tar_members(source: ByteRange) -> Iterator[tuple[str, TarPlace | str | None]]:
    """The name of each member and where it is; None for a folder, the name of another member for a link.

    They are found by the headers before the files.

    Raises:
        TarError: The file is damaged or cut short.
        UserError: A member is sparse.
    """
    mode: Literal["r:", "r|"] = "r:"
    raw: RawIOBase = RangeReader(source)
    if isinstance(source, InflatedBytes):
        # one after the other, as it has to be inflated from its beginning on
        mode = "r|"
        raw = ChunkReader(source.chunks())
    reader = BufferedReader(raw, tarfile.BLOCKSIZE)
    with tarfile.open(fileobj=reader, mode=mode, bufsize=2**20) as file:
        while (member := file.next()) is not None:
            file.members.clear()  # type: ignore[attr-defined]  # where it keeps all that it has seen
            if member.issparse():
                raise UserError(f"a sparse file ({member.name})")
            if member.isdir():
                yield member.name, None
            elif member.isreg():
                yield member.name, TarPlace(member.offset_data, member.size)
            elif member.issym() or member.islnk():
                yield member.name, _target(member)
        end = file.offset
    while reader.read(2**16):  # the rest of a stream, which ends with a checksum
        pass
    last = source.read(end, tarfile.BLOCKSIZE)
    if not last or any(last):
        raise tarfile.ReadError("no end of the archive")


def _target(link: tarfile.TarInfo) -> str:
    """The name of the member that a link leads to; a symbolic one counts from its own folder."""
    folder = posixpath.dirname(link.name) if link.issym() else ""
    return posixpath.normpath(posixpath.join(folder, link.linkname))
