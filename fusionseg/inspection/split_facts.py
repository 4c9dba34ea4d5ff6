"""Counts what the labels of a split hold, in several processes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from fusionseg.config.errors import unmendable
from fusionseg.data.base import Labels, SegmentationDataset
from fusionseg.data.rounding import Repeats
from fusionseg.data.samples import quiet_worker
from fusionseg.inspection.image_facts import ImageFacts, Ints, PhotoFacts, Regions, image_facts
from fusionseg.scores.workers import cores

PHOTOS = 32
"""Images of which the values are looked at; of the others only the labels are read."""

BATCH = 8
"""Images that a process counts before it reports them."""


class SplitFacts(NamedTuple):
    """What the labels of some images of a split hold.

    Args:
        total: Images of the split.
        sizes: Height and width of each image (N, 2).
        class_pixels: Pixels of each class (C,).
        class_images: Images that show each class (C,).
        epoch_pixels: Pixels of each class (C,) in an epoch of training, which may draw an image several times
            or not at all.
        labelled: Labelled pixels of each kind.
        labelled_images: Images with a labelled pixel of each kind.
        regions: All regions.
        region_numbers: The number of regions of each image (N,).
        photos: The values of the images that were looked at.
    """

    total: int
    sizes: Ints
    class_pixels: Ints
    class_images: Ints
    epoch_pixels: Ints
    labelled: dict[str, int]
    labelled_images: dict[str, int]
    regions: Regions
    region_numbers: Ints
    photos: list[PhotoFacts]

    @property
    def images(self) -> int:
        """The number of images that were counted."""
        return len(self.sizes)

    @property
    def pixels(self) -> int:
        """The number of all their pixels."""
        return int(self.sizes.prod(1).sum())


def split_facts(
    dataset: SegmentationDataset,
    limit: int | None = None,
    workers: int | None = None,
    seed: int = 0,
    repeats: Repeats | None = None,
) -> SplitFacts:
    """What the labels of a split hold.

    Args:
        dataset: The split.
        limit: How many images at most, drawn at random; all where left out.
        workers: Processes that read labels; one for each core where left out, 0 for none.
        seed: Which images are drawn, and which epoch of training is counted.
        repeats: How often each image of training is seen in an epoch, on average (N,); once where left out.
    """
    number = len(dataset)
    chosen = np.arange(number)
    if limit is not None and limit < number:
        chosen = np.sort(np.random.default_rng(seed).permutation(number)[:limit])
    drawn = np.arange(number)
    if dataset.split == "train":
        drawn = dataset.order(np.random.default_rng(seed), drawn, repeats)
    times = np.bincount(drawn, minlength=number)[chosen]
    return _added(_counted(dataset, chosen, workers), times, number)


def _counted(dataset: SegmentationDataset, chosen: Ints, workers: int | None) -> list[ImageFacts]:
    """What each image holds."""
    most = cores() if workers is None else workers
    batches: DataLoader[list[ImageFacts]] = DataLoader(
        _Counting(dataset, chosen),
        batch_size=BATCH,
        num_workers=min(most, len(chosen) // BATCH),
        collate_fn=list,
        worker_init_fn=quiet_worker,
        # of its own: else the loader would draw from the global one
        generator=torch.Generator(),
    )
    console = Console(stderr=True)
    title = f"counting labels of {dataset.split}"
    shown = track(batches, title, console=console, transient=True, disable=not console.is_terminal)
    return [facts for batch in shown for facts in batch]


class _Counting(Dataset[list[ImageFacts]]):
    """What the chosen images hold."""

    def __init__(self, dataset: SegmentationDataset, chosen: Ints) -> None:
        self.dataset = dataset
        self.chosen = chosen
        self.every = -(-len(chosen) // PHOTOS)

    def __len__(self) -> int:
        return len(self.chosen)

    @override
    def __getitem__(self, position: int) -> ImageFacts:  # type: ignore[override]
        index = int(self.chosen[position])
        classes = len(self.dataset.classes)
        with unmendable():
            if position % self.every:
                return image_facts(self.dataset.labels(index), classes)
            pixels = self.dataset.read(index)
            return image_facts(Labels(*pixels[1:]), classes, pixels.image)


def _added(images: Sequence[ImageFacts], times: Ints, total: int) -> SplitFacts:
    """The images together."""
    classes = np.stack([image.class_pixels for image in images])
    kinds = list(images[0].labelled)
    columns = zip(*(image.regions for image in images), strict=True)
    return SplitFacts(
        total,
        np.array([image.size for image in images], np.int64),
        classes.sum(0),
        (classes > 0).sum(0),
        times @ classes,
        {kind: sum(image.labelled[kind] for image in images) for kind in kinds},
        {kind: sum(image.labelled[kind] > 0 for image in images) for kind in kinds},
        Regions(*(np.concatenate(column) for column in columns)),
        np.array([len(image.regions.area) for image in images], np.int64),
        [image.photo for image in images if image.photo],
    )
