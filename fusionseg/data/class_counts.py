"""Counts the pixels of each class in training images, once for all runs on the same files."""

import hashlib
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from fusionseg.config.errors import unmendable
from fusionseg.data.base import DataError, SegmentationDataset, class_pixels, labelled_images
from fusionseg.data.cache import content_key
from fusionseg.data.rounding import Repeats
from fusionseg.data.samples import quiet_worker
from fusionseg.files.archive_path import ArchivePath, on_disk
from fusionseg.files.atomic import replacing

Counts = npt.NDArray[np.int64]


def class_counts(
    dataset: SegmentationDataset,
    seed: int,
    workers: int = 0,
    folder: str | Path | None = None,
    repeats: Repeats | None = None,
    known: Counts | None = None,
) -> Counts:
    """The number of pixels of each class (C,) in an epoch of training, from the label files.

    Args:
        dataset: The training split.
        seed: Which epoch, where images are drawn.
        workers: Processes that read label files; 0 for none.
        folder: Where the counts are kept; by default beside the first file that the dataset names.
        repeats: How often each image is seen in an epoch, on average (N,).
        known: The counts of all images (N, C), where they are known.
    """
    among = labelled_images(dataset)
    often = None if repeats is None else repeats[among]
    order = dataset.order(np.random.default_rng(seed), among, often)
    seen, times = np.unique(order, return_counts=True)
    of_images = image_counts(dataset, seen, workers, folder) if known is None else known[seen]
    counts: Counts = times @ of_images
    return counts


def image_counts(
    dataset: SegmentationDataset,
    images: Counts | None = None,
    workers: int = 0,
    folder: str | Path | None = None,
) -> Counts:
    """The number of pixels of each class in each image (N, C), from the label files.

    The counts are kept in a hidden file, whose name is a hash of all that they depend on, and found there by
    the next run; where the folder cannot be written to, or the dataset does not say what it reads, they are
    counted each time.

    Args:
        dataset: The training split.
        images: Which images, in rising order; all where left out.
        workers: Processes that read label files; 0 for none.
        folder: Where the counts are kept; by default beside the first file that the dataset
            names, or the archive that it is in.
    """
    every = np.arange(len(dataset))
    wanted = every if images is None else images
    place = _place(dataset, folder)
    if place is None:
        return _counted(dataset, wanted, workers)
    # counts of all images have those of some
    for held in (every, wanted):
        known = _read(_file(place, held), (len(held), len(dataset.classes)))
        if known is not None:
            return known[np.searchsorted(held, wanted)]
    counts = _counted(dataset, wanted, workers)
    # data that may only be read
    with suppress(OSError), replacing(_file(place, wanted)) as draft, draft.open("wb") as out:
        np.savez_compressed(out, pixels=counts)
    return counts


class _ClassPixels(Dataset[Tensor]):
    """The pixels of each class in some images."""

    def __init__(self, dataset: SegmentationDataset, images: Counts) -> None:
        self.dataset = dataset
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    @override
    def __getitem__(self, position: int) -> Tensor:
        index = int(self.images[position])
        if not self.dataset.has_labels(index):
            return torch.zeros(len(self.dataset.classes), dtype=torch.int64)
        with unmendable():
            semantic = self.dataset.labels(index).semantic
        return torch.from_numpy(class_pixels(semantic, len(self.dataset.classes)))


def _counted(dataset: SegmentationDataset, images: Counts, workers: int) -> Counts:
    """The counts (N, C) of some images, read now, with a progress bar on a terminal."""
    batches: DataLoader[Tensor] = DataLoader(
        _ClassPixels(dataset, images),
        batch_size=16,
        num_workers=workers,
        collate_fn=_stacked,
        worker_init_fn=quiet_worker,
        # of its own: else the loader would draw from the global one
        generator=torch.Generator(),
    )
    shown = track(batches, "counting classes", transient=True, disable=not sys.stdout.isatty())
    return torch.cat(list(shown)).numpy()


def _stacked(counts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(counts))


def _place(dataset: SegmentationDataset, folder: str | Path | None) -> tuple[Path, str] | None:
    """The folder of the counts and what they depend on; None where nothing tells whether they still hold."""
    try:
        paths = [source for source in dataset.sources() if isinstance(source, Path | ArchivePath)]
        if folder is None and not paths:
            return None
        return Path(folder or on_disk(paths[0]).parent), content_key(dataset)
    except DataError:
        return None


def _file(place: tuple[Path, str], images: Counts) -> Path:
    """The file of the counts of some images."""
    folder, key = place
    return folder / f".class_counts-{key}{hashlib.sha256(images.tobytes()).hexdigest()[:8]}.npz"


def _read(file: Path, shape: tuple[int, int]) -> Counts | None:
    """What a file of counts holds; None if there is none, or it holds something else."""
    try:
        with np.load(file, allow_pickle=False) as content:
            counts: Counts = content["pixels"]
    except (OSError, ValueError, LookupError, EOFError, TypeError, BadZipFile, zlib.error):
        return None
    return counts if counts.shape == shape and counts.dtype == np.int64 else None
