"""Caches of decoded images, in memory or in one file on disk, so that later epochs decode nothing."""

import hashlib
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from rich.progress import track
from typing_extensions import override

from fusionseg.config.errors import unmendable
from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset
from fusionseg.data.subset import Subset
from fusionseg.files.archive_path import ArchivePath, fingerprint
from fusionseg.files.atomic import replacing
from fusionseg.sample import Array

Cache: TypeAlias = Literal["none", "memory", "disk"]

_FORMAT = 3
_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.uint8), 2: np.dtype(np.uint16), 4: np.dtype(np.float32)}
"""The type of a value by its bytes."""

_ALIGNMENT = 64
"""Bytes; the images of the file on disk begin at multiples of it."""


def cached(
    dataset: SegmentationDataset, cache: Cache, folder: str | Path | None = None
) -> SegmentationDataset:
    """The dataset, with its decoded images kept in memory, on disk or not at all.

    Args:
        dataset: One split.
        cache: Where decoded images are kept.
        folder: Where the files of a cache on disk are.

    Raises:
        DataError: There is not enough room.
        ValueError: A cache on disk has no folder.
    """
    if cache == "memory":
        return MemoryCache(dataset)
    if cache == "disk":
        if folder is None:
            raise ValueError("expected a folder for the cache on disk, found none: set data.cache_dir")
        return DiskCache(dataset, Path(folder))
    return dataset


class _Cached(Subset):
    """A dataset whose pixels are cached; everything else comes from the dataset itself."""

    def __init__(self, dataset: SegmentationDataset) -> None:
        super().__init__(dataset, range(len(dataset)))

    @override
    def labels(self, index: int) -> Labels:
        return Labels(*self.read(index)[1:])


class MemoryCache(_Cached):
    """Decoded images in this process's memory, which forked workers share; every rank has its own.

    Args:
        dataset: One split.
    """

    def __init__(self, dataset: SegmentationDataset) -> None:
        super().__init__(dataset)
        check_memory([dataset])
        self.pixels = list(_decoded(dataset, "memory"))

    @override
    def read(self, index: int) -> Pixels:
        return self.pixels[index]


class DiskCache(_Cached):
    """Decoded images in one file, mapped into memory; processes and runs on the same machine share it.

    The file's name is a hash of what the dataset says its pixels depend on (`sources`), with the files' sizes
    and times. It does not depend on code: empty the folder after a change to the dataset's class.

    An image's record is its further label maps, its regions, the image and the class ids, the wider a value
    the earlier, so that all are aligned whatever the image's size. The index has one line for each image: the
    record's start, height, width, channels, the bytes of a value (4 for a float), and the channels of each
    further map (0 where it has no such axis).

    Args:
        dataset: One split.
        folder: Where the file is, or will be.
    """

    def __init__(self, dataset: SegmentationDataset, folder: Path) -> None:
        super().__init__(dataset)
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{type(dataset).__name__}-{dataset.split}-{content_key(dataset)}.pixels"
        self.index_file = self.file.with_suffix(".npy")
        # The index is written last, so if it exists the pixels are complete.
        if not self.index_file.exists():
            _check_room(
                [dataset], shutil.disk_usage(folder).free, f"{folder}", "set data.cache_dir to a larger disk"
            )
            _fill(dataset, self.file, self.index_file)
        self.places = np.load(self.index_file)

    @override
    def read(self, index: int) -> Pixels:
        start, height, width, channels, depth, *map_channels = self.places[index].tolist()
        size = (height, width)
        kinds = [(_DTYPES[4], (*size, count) if count else size) for count in map_channels]
        kinds += [(_DTYPES[2], size), (_DTYPES[depth], (*size, channels)), (_DTYPES[1], size)]
        places = _in_order([dtype for dtype, _ in kinds])
        sizes = [kinds[i][0].itemsize * math.prod(kinds[i][1]) for i in places]
        flat = np.memmap(self.file, np.uint8, "r", start, (sum(sizes),)).view(np.ndarray)
        pieces = dict(zip(places, np.split(flat, list(accumulate(sizes[:-1]))), strict=True))
        *maps, region, image, semantic = [
            pieces[i].view(d).reshape(shape) for i, (d, shape) in enumerate(kinds)
        ]
        pixels = Pixels(image, semantic, region)
        return pixels._replace(maps=dict(zip(self.kinds, maps, strict=True))) if maps else pixels


def _fill(dataset: SegmentationDataset, file: Path, index_file: Path) -> None:
    """Writes the file of pixels and then its index, each complete or not at all."""
    places = []
    start = 0
    with replacing(file) as draft, draft.open("wb") as pixels_out:
        for pixels in _decoded(dataset, str(file.parent)):
            maps = [np.asarray(pixels.maps[kind], np.float32) for kind in dataset.kinds]
            map_channels = [0 if plane.ndim == 2 else plane.shape[2] for plane in maps]
            places.append((start, *pixels.image.shape, pixels.image.itemsize, *map_channels))
            planes: list[Array] = [*maps, pixels.region, pixels.image, pixels.semantic]
            record = b"".join(planes[i].tobytes() for i in _in_order([plane.dtype for plane in planes]))
            record += bytes(-len(record) % _ALIGNMENT)
            pixels_out.write(record)
            start += len(record)
    with replacing(index_file) as draft:
        np.save(draft, np.array(places, np.int64))


def _in_order(dtypes: Sequence[np.dtype[Any]]) -> list[int]:
    """The order of planes in a record: wide values first, else as they are."""
    return sorted(range(len(dtypes)), key=lambda i: -dtypes[i].itemsize)


def _decoded(dataset: SegmentationDataset, where: str) -> Iterator[Pixels]:
    """All images in order, decoded by several threads, with a progress bar on a terminal."""
    read = unmendable()(dataset.read)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        # In windows, because a pool decodes all that it is given, however slowly the results are taken.
        windows = (range(start, min(start + 64, len(dataset))) for start in range(0, len(dataset), 64))
        images = track(
            (pixels for window in windows for pixels in pool.map(read, window)),
            f"caching {dataset.split} in {where}",
            len(dataset),
            transient=True,
            disable=not sys.stdout.isatty(),
        )
        yield from images


def content_key(dataset: SegmentationDataset) -> str:
    """A hash of all that the cached pixels depend on."""
    name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    digest = hashlib.sha256(f"{_FORMAT} {name} {dataset.split} {dataset.kinds}".encode())
    for source in dataset.sources():
        if isinstance(source, Path | ArchivePath):
            source = fingerprint(source)
        digest.update(repr(source).encode())
    return digest.hexdigest()[:16]


def check_memory(datasets: Sequence[SegmentationDataset], ranks: int = 1) -> None:
    """Checks that the images of all splits fit into memory together, before any rank keeps some.

    Args:
        datasets: The splits.
        ranks: Processes on this machine, each of which keeps all images.

    Raises:
        DataError: They do not, as far as some of them tell.
    """
    _check_room(datasets, _free_memory(), "memory", "set data.cache to disk or none", ranks)


def _check_room(
    datasets: Sequence[SegmentationDataset], free: float, where: str, remedy: str, ranks: int = 1
) -> None:
    """Raises a DataError unless the images fit, as far as some of them tell."""
    size = sum(map(_decoded_size, datasets))
    if ranks * size > 0.9 * free:
        splits = " and ".join(dataset.split for dataset in datasets)
        times = f"{ranks} ranks with " if ranks > 1 else ""
        found = f"{times}{size / 2**30:.1f} GiB of decoded images in {splits}, {free / 2**30:.1f} GiB free"
        raise DataError(f"expected the cache to fit into {where} ({found}): {remedy}")


def _decoded_size(dataset: SegmentationDataset) -> float:
    """Bytes of all decoded images, estimated from some of them."""
    probes = range(0, len(dataset), max(1, len(dataset) // 8))
    read = unmendable()(dataset.read)
    return sum(_bytes(read(index)) for index in probes) / len(probes) * len(dataset)


def _bytes(pixels: Pixels) -> int:
    """The size of an image and its labels in memory."""
    maps = sum(plane.nbytes for plane in pixels.maps.values())
    return pixels.image.nbytes + pixels.semantic.nbytes + pixels.region.nbytes + maps


def _free_memory() -> float:
    """Bytes that this process may still allocate, limited by the machine or the container's cgroup."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    group = Path("/sys/fs/cgroup")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        available = 1024 * int(lines["MemAvailable"].split()[0])
    if (group / "memory.max").exists() and (limit := (group / "memory.max").read_text().strip()) != "max":
        available = min(available, int(limit) - int((group / "memory.current").read_text()))
    return available
