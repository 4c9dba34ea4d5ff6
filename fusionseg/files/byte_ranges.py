"""Bytes at any place of a file, of a part of it, or of what a part holds deflated.

Nothing here keeps a file open or a position in it, so that threads, forked workers and other processes read
the same archive without knowing of each other.
"""

import io
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from typing_extensions import override

CHUNK = 2**16
"""Bytes of a deflated stream that are inflated at a time."""

SPAN = 2**20
"""Bytes of content between two places from which inflating can go on, of streams of up to 512 MiB."""

MOST_STATES = 512
"""How many such places are kept of a longer stream, each of about 50 kB."""


GZIP = b"\x1f\x8b"
"""The first bytes of a gzip stream (RFC 1952)."""


class ByteRange(Protocol):
    """Bytes that can be read at any place."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from a place on; fewer only at the end."""


class FileBytes:
    """The bytes of a file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from a place on."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)


class PartBytes:
    """A part of other bytes.

    Args:
        source: The other bytes.
        start: Where the part begins.
        size: How many bytes it has.
    """

    def __init__(self, source: ByteRange, start: int, size: int) -> None:
        self.source = source
        self.start = start
        self.size = size

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from a place in the part on."""
        return self.source.read(self.start + start, min(size, max(0, self.size - start)))


class _State(NamedTuple):
    """From where inflating can go on: a place in the content, that in the stream, and the decompressor."""

    content: int
    deflated: int
    inflater: Any  # zlib's type has no public name


class InflatedBytes:
    """The content of a deflated stream.

    A stream can only be inflated from its beginning on. This is done once, and the decompressor is copied on
    the way (zlib's `inflateCopy`, as in its example zran.c), so that later reading begins at the copy before.

    Args:
        source: The deflated stream.
        wbits: Its format, as `zlib.decompressobj` takes it: -15 inside of a zip file, 31 for gzip.
    """

    def __init__(self, source: ByteRange, wbits: int) -> None:
        self.source = source
        self.wbits = wbits
        self._states: list[_State] = []
        self._size = 0

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return InflatedBytes, (self.source, self.wbits)  # decompressors cannot be pickled

    @property
    def size(self) -> int:
        """The number of bytes of the content."""
        self._inflate_once()
        return self._size

    def read(self, start: int, size: int) -> bytes:
        """So many bytes of the content from a place on.

        Raises:
            EOFError: The stream is cut short.
            zlib.error: The stream is damaged.
        """
        self._inflate_once()
        if start >= self._size:
            return b""
        state = self._states[bisect_right(self._states, start, key=attrgetter("content")) - 1]
        pieces = []
        for after, piece in self._inflated(state):
            before = after.content - len(piece)
            pieces.append(piece[max(0, start - before) : max(0, start + size - before)])
            if after.content >= start + size:
                break
        return b"".join(pieces)

    def chunks(self) -> Iterator[bytes]:
        """All of the content, in pieces of any size.

        Raises:
            EOFError: The stream is cut short.
            zlib.error: The stream is damaged.
        """
        states = [_State(0, 0, zlib.decompressobj(self.wbits))]
        span = max(SPAN, self.source.size // MOST_STATES)
        size = 0
        for state, piece in self._inflated(states[0]):
            size = state.content
            if size >= states[-1].content + span:
                states.append(state._replace(inflater=state.inflater.copy()))
            yield piece
        # only now, and as a whole: another thread may be at the same
        self._size = size
        self._states = states

    def _inflate_once(self) -> None:
        if not self._states:
            deque(self.chunks(), maxlen=0)

    def _inflated(self, state: _State) -> Iterator[tuple[_State, bytes]]:
        """Pieces of the content from a state on, each with the state after it."""
        content, deflated, kept = state
        inflater = kept.copy()
        ended = False
        # several gzip streams, one after the other, are one file; what else follows is padding
        while not ended or self.source.read(deflated, len(GZIP)) == GZIP:
            chunk = self.source.read(deflated, CHUNK)
            if not chunk:
                raise EOFError("that it ends early")
            piece = inflater.decompress(chunk)
            content += len(piece)
            deflated += len(chunk) - len(inflater.unused_data)
            ended = inflater.eof
            if ended:
                inflater = zlib.decompressobj(self.wbits)
            yield _State(content, deflated, inflater), piece


class RangeReader(io.RawIOBase):
    """A file, as libraries take it, of bytes that can be read at any place.

    Args:
        source: The bytes.
    """

    def __init__(self, source: ByteRange) -> None:
        self.source = source
        self.position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.source.size}[whence]
        if begin + offset < 0:
            raise OSError("a place before the beginning")
        self.position = begin + offset
        return self.position

    @override
    def readinto(self, buffer: Any, /) -> int:
        found = self.source.read(self.position, len(buffer))
        buffer[: len(found)] = found
        self.position += len(found)
        return len(found)


class ChunkReader(io.RawIOBase):
    """A file, as libraries take it, of pieces that come one after the other.

    Args:
        chunks: The pieces.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any, /) -> int:
        while not self.rest:
            try:
                self.rest = next(self.chunks)
            except StopIteration:
                return 0
        found = self.rest[: len(buffer)]
        self.rest = self.rest[len(found) :]
        buffer[: len(found)] = found
        return len(found)
