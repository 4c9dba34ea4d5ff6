import gzip
import io
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from fusionseg.files import byte_ranges
from fusionseg.files.byte_ranges import ChunkReader, FileBytes, InflatedBytes, PartBytes, RangeReader

RANDOM = np.random.default_rng(0)
CONTENT = RANDOM.integers(0, 256, 200_000, np.uint8).tobytes() + bytes(300_000) + b"end"
PLACES = [(0, 0), (0, 10), (199_990, 20), (499_995, 100), (500_003, 5), (600_000, 5), (0, 10**6)]
PLACES += [(int(start), int(size)) for start, size in RANDOM.integers(0, 500_000, (20, 2))]


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.fixture
def written(tmp_path: Path) -> FileBytes:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return FileBytes(path)


def test_bytes_of_a_file_and_of_a_part_are_those_of_a_slice(written: FileBytes) -> None:
    part = PartBytes(written, 1000, 400_000)
    assert (written.size, part.size) == (len(CONTENT), 400_000)
    for start, size in PLACES:
        assert written.read(start, size) == CONTENT[start : start + size]
        assert part.read(start, size) == CONTENT[1000:401_000][start : start + size]


@pytest.mark.parametrize("span", [1, 70_000, 2**20])
@pytest.mark.parametrize("kind", ["deflate", "gzip", "several gzip streams", "padded gzip"])
def test_an_inflated_stream_is_read_at_any_place(
    kind: str, span: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_ranges, "SPAN", span)
    path = tmp_path / "stream"
    half = len(CONTENT) // 2
    path.write_bytes(
        {
            "deflate": deflated(CONTENT),
            "gzip": gzip.compress(CONTENT),
            "several gzip streams": gzip.compress(CONTENT[:half]) + gzip.compress(CONTENT[half:]),
            "padded gzip": gzip.compress(CONTENT) + bytes(1000),
        }[kind]
    )
    found = InflatedBytes(FileBytes(path), -15 if kind == "deflate" else 31)
    for start, size in PLACES:
        assert found.read(start, size) == CONTENT[start : start + size]
    assert found.size == len(CONTENT)
    assert b"".join(found.chunks()) == CONTENT


def test_threads_inflate_the_same(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(deflated(CONTENT))
    found = InflatedBytes(FileBytes(path), -15)
    wrong = []

    def read() -> None:
        wrong.extend(place for place in PLACES if found.read(*place) != CONTENT[place[0] : sum(place)])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("wbits", [-15, 31])
def test_a_stream_that_is_cut_short_is_an_error(wbits: int, tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes((deflated(CONTENT) if wbits < 0 else gzip.compress(CONTENT))[:-3])
    with pytest.raises(EOFError, match="ends early"):
        InflatedBytes(FileBytes(path), wbits).read(0, 10)


def test_readers_are_files_of_those_bytes(written: FileBytes) -> None:
    ours = io.BufferedReader(RangeReader(written), 100)
    theirs = io.BytesIO(CONTENT)
    for offset, whence, size in ((5, 0, 300), (-20, 2, 50), (-10, 1, 5), (0, 0, -1)):
        assert ours.seek(offset, whence) == theirs.seek(offset, whence)
        assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()
    with pytest.raises(OSError, match="before the beginning"):
        ours.seek(-1)
    pieces = io.BufferedReader(ChunkReader(iter([CONTENT[:7], b"", CONTENT[7:1000], CONTENT[1000:]])), 100)
    assert pieces.read(3) + pieces.read() == CONTENT
