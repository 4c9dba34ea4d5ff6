"""Lists and reads the members of a zip file."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from typing import NamedTuple

from fusionseg.config.errors import UserError
from fusionseg.files.byte_ranges import ByteRange, InflatedBytes, PartBytes, RangeReader

_HEADER = 30
"""Bytes of a local file header before the name (APPNOTE.TXT, 4.3.7)."""

_LOCAL = b"PK\3\4"
"""The first bytes of a local file header."""

_SLACK = 2**9
"""Bytes of a header, name and extra fields that are read together with the content."""

_IS_ENCRYPTED = 1
_IS_UTF_8 = 0x800
"""Bits of a member's flags (APPNOTE.TXT, 4.4.4)."""

_DOS = 0
"""The system of programs that write for DOS and Windows (APPNOTE.TXT, 4.4.2)."""


class ZipPlace(NamedTuple):
    """Where a member is in a zip file.

    Attributes:
        header: Where its local header begins.
        stored: Bytes that its content takes.
        size: Bytes of its content.
        mark: The CRC of its content.
        method: How it is held: 0 as it is, 8 deflated.
    """

    header: int
    stored: int
    size: int
    mark: int
    method: int

    def read(self, source: ByteRange) -> bytes:
        """The content of the member.

        Raises:
            BadZipFile: The file is damaged, or is another one now.
            zlib.error: The same.
        """
        found = source.read(self.header, _HEADER + _SLACK + self.stored)
        start = _content_start(found)
        if start + self.stored > len(found):
            found = source.read(self.header, start + self.stored)
        content = found[start : start + self.stored]
        if self.method == zipfile.ZIP_DEFLATED:
            content = zlib.decompress(content, -15)
        if zlib.crc32(content) != self.mark:
            raise zipfile.BadZipFile("a file with another checksum")
        return content

    def bytes_in(self, source: ByteRange) -> ByteRange:
        """The content of the member, to be read at any place; its CRC is not compared."""
        start = self.header + _content_start(source.read(self.header, _HEADER))
        part = PartBytes(source, start, self.stored)
        return InflatedBytes(part, wbits=-15) if self.method == zipfile.ZIP_DEFLATED else part


def zip_members(source: ByteRange) -> Iterator[tuple[str, ZipPlace | None]]:
    """The name of each member and where it is, by the central directory; None for a folder.

    Raises:
        BadZipFile: The file is damaged or cut short.
        UserError: A member is encrypted, or compressed in another way than by Deflate.
    """
    with _opened(source) as file:
        file.NameToInfo.clear()
        found = file.filelist
        found.reverse()
        while found:  # which frees what was seen: a million entries of zipfile take 0.7 GB
            member = found.pop()
            name = _decoded(member)
            if member.flag_bits & _IS_ENCRYPTED:
                raise UserError(f"a file that is encrypted ({name})")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"a file that is compressed by method {member.compress_type} ({name})")
            place = ZipPlace(
                member.header_offset, member.compress_size, member.file_size, member.CRC, member.compress_type
            )
            yield name, None if name.endswith("/") else place


def _opened(source: ByteRange) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(BufferedReader(RangeReader(source), 2**16))
    except zipfile.BadZipFile as error:
        is_cut = source.read(0, len(_LOCAL)) == _LOCAL
        raise zipfile.BadZipFile("that it ends early" if is_cut else str(error).lower()) from error


def _content_start(header: bytes) -> int:
    """Where a member's content begins, counted from its local header."""
    if header[: len(_LOCAL)] != _LOCAL or len(header) < _HEADER:
        raise zipfile.BadZipFile("a file at another place")
    name, extra = struct.unpack("<HH", header[_HEADER - 4 : _HEADER])
    return int(_HEADER + name + extra)


def _decoded(member: zipfile.ZipInfo) -> str:
    """The name of a member.

    Where it does not say that it is UTF-8, it mostly is that all the same. Some programs of Windows write
    backslashes for slashes. They are turned where `unzip` does it: if a name without slashes is one of DOS.
    """
    name = member.filename
    if not name.isascii() and not member.flag_bits & _IS_UTF_8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/") if member.create_system == _DOS and "/" not in name else name
