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
from fusionseg.data.base import Labels, Pixels, SegmentationDataset
from fusionseg.data.room import check_memory, check_room
from fusionseg.data.subset import Subset
from fusionseg.files.archive_path import ArchivePath, fingerprint
from fusionseg.files.atomic import replacing
from fusionseg.files.filled_once import fill_once
from fusionseg.sample import Array, Truth

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
        self.truth_is_labels = _truth_is_labels(dataset)

    @override
    def truth(self, index: int) -> Truth:
        return SegmentationDataset.truth(self, index) if self.truth_is_labels else super().truth(index)

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

    Of several runs that begin at once one fills the file, and the others wait for it.

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
        self.file = folder / f"{type(dataset).__name__}-{dataset.split}-{content_key(dataset)}.pixels"
        self.index_file = self.file.with_suffix(".npy")
        # The index is written last, so if it exists the pixels are complete.
        fill_once(self.index_file, self._fill)
        self.places = np.load(self.index_file)

    def _fill(self) -> None:
        """Writes both files, where there is room for them."""
        free = shutil.disk_usage(self.file.parent).free
        remedy = "set data.cache_dir to a larger disk"
        check_room([self.dataset], free, f"{self.file.parent}", remedy)
        _fill(self.dataset, self.file, self.index_file)

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


def _truth_is_labels(dataset: SegmentationDataset) -> bool:
    """Whether a dataset is scored against the labels that it trains on, and against nothing more."""
    while isinstance(dataset, Subset) and type(dataset).truth is Subset.truth:
        dataset = dataset.dataset
    return type(dataset).truth is SegmentationDataset.truth


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
    """A hash of all that the pixels of a dataset depend on, cached or not."""
    while isinstance(dataset, _Cached):
        dataset = dataset.dataset
    name = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    digest = hashlib.sha256(f"{_FORMAT} {name} {dataset.split} {dataset.kinds}".encode())
    for source in dataset.sources():
        if isinstance(source, Path | ArchivePath):
            source = fingerprint(source)
        digest.update(repr(source).encode())
    return digest.hexdigest()[:16]
