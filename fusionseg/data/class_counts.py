"""Counts the pixels of each class in an epoch of training, once for all runs on the same files."""

import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from fusionseg.config.errors import unmendable
from fusionseg.data.base import DataError, SegmentationDataset, class_pixels
from fusionseg.data.cache import content_key
from fusionseg.data.samples import quiet_worker
from fusionseg.files.archive_path import ArchivePath, on_disk
from fusionseg.files.atomic import write_text

Counts = npt.NDArray[np.int64]


def class_counts(
    dataset: SegmentationDataset, seed: int, workers: int = 0, folder: str | Path | None = None
) -> Counts:
    """The number of pixels of each class (C,) in an epoch of training, from the label files.

    The counts are kept in a hidden file, whose name is a hash of all that they depend on, and found there by
    the next run; where the folder cannot be written to, or the dataset does not say what it reads, they are
    counted each time.

    Args:
        dataset: The training split.
        seed: Which epoch, where the dataset draws its images.
        workers: Processes that read label files; 0 for none.
        folder: Where the counts are kept; by default beside the first file that the dataset
            names, or the archive that it is in.
    """
    order = dataset.order(np.random.default_rng(seed), np.arange(len(dataset)))
    seen, times = np.unique(order, return_counts=True)
    file = _file(dataset, seen, times, folder)
    if file and (known := _read(file, len(dataset.classes))) is not None:
        return known
    samples = _ClassPixels(dataset, seen, times)
    batches: DataLoader[Tensor] = DataLoader(
        samples,
        batch_size=16,
        num_workers=workers,
        collate_fn=_added,
        worker_init_fn=quiet_worker,
        # of its own: else the loader would draw from the global one
        generator=torch.Generator(),
    )
    shown = track(batches, "counting classes", transient=True, disable=not sys.stdout.isatty())
    counts: Counts = sum(shown, torch.zeros(len(dataset.classes), dtype=torch.int64)).numpy()
    if file:
        with suppress(OSError):  # data that may only be read
            write_text(file, json.dumps(counts.tolist()))
    return counts


class _ClassPixels(Dataset[Tensor]):
    """The pixels of each class in the images of an epoch, times the number of their occurrences."""

    def __init__(self, dataset: SegmentationDataset, seen: Counts, times: Counts) -> None:
        self.dataset = dataset
        self.seen = seen
        self.times = times

    def __len__(self) -> int:
        return len(self.seen)

    @override
    def __getitem__(self, position: int) -> Tensor:
        with unmendable():
            semantic = self.dataset.labels(int(self.seen[position])).semantic
        return torch.from_numpy(self.times[position] * class_pixels(semantic, len(self.dataset.classes)))


def _added(counts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(counts)).sum(0)


def _file(
    dataset: SegmentationDataset, seen: Counts, times: Counts, folder: str | Path | None
) -> Path | None:
    """The file of the counts; None where nothing tells whether they still hold."""
    try:
        paths = [source for source in dataset.sources() if isinstance(source, Path | ArchivePath)]
        if folder is None and not paths:
            return None
        key = content_key(dataset) + hashlib.sha256(seen.tobytes() + times.tobytes()).hexdigest()[:8]
    except DataError:
        return None
    return Path(folder or on_disk(paths[0]).parent) / f".class_counts-{key}.json"


def _read(file: Path, number: int) -> Counts | None:
    """What a file of counts holds; None if there is none, or it holds something else."""
    try:
        counts = np.array(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return counts if counts.shape == (number,) and counts.dtype == np.int64 else None
