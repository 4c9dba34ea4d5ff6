"""What a segmentation dataset is: one split, its classes, and the pixels and labels of its images."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fusionseg.sample import Classes, IntMap, Truth

Split: TypeAlias = Literal["train", "val", "test"]


class DataError(ValueError):
    """Files that are not what a dataset expects; keeps its type on the way out of a worker (see `message_of`)."""


class Pixels(NamedTuple):
    """An image with its label maps, all of one size.

    Args:
        image: (H, W, C) uint8, RGB or RGB and more.
        semantic: Class ids (H, W) uint8, 255 where unlabelled.
        region: Region ids (H, W) uint16, 0 where unlabelled.
    """

    image: npt.NDArray[np.uint8]
    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]


class Labels(NamedTuple):
    """The label maps of an image, as in `Pixels`."""

    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]


class SegmentationDataset(ABC):
    """One split of a dataset.

    Constructing one reads lists and checks that the files are there, but decodes no image. The facts of the dataset,
    its classes and what a region is, stand in `classes`.

    Args:
        split: Which part of the data.

    Raises:
        DataError: The dataset has no such split.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val", "test")
    classes: Classes
    channels: int = 3

    def __init__(self, split: Split) -> None:
        if split not in self.splits:
            raise DataError(
                f"{type(self).__name__} has the splits {', '.join(self.splits)}, found {split!r}: name another"
            )
        self.split = split

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def name(self, index: int) -> str:
        """A name that no other image of the dataset has and that can be part of a file's name."""

    @abstractmethod
    def read(self, index: int) -> Pixels:
        """The image and its labels at the size of the files."""

    def labels(self, index: int) -> Labels:
        """The labels alone; a dataset of files reads them without decoding the photo."""
        return Labels(*self.read(index)[1:])

    def truth(self, index: int) -> Truth:
        """What an answer is scored against, at the size of the label file."""
        return Truth(*self.labels(index))

    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        """The regions (H, W) of one of several annotators, for training; nothing where `read` gives all there is.

        Args:
            index: Which image.
            rng: The only source of chance.
        """
        return None

    def order(self, rng: np.random.Generator, among: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The images of an epoch of training, in order and equally many in each: every one once, unless overridden.

        Args:
            rng: The only source of chance.
            among: The indices to choose from.
        """
        return rng.permutation(among)

    def sources(self) -> list[object]:
        """All that the pixels depend on: parameters, and the path of every file; a cache on disk is keyed by it."""
        raise DataError(
            f"{type(self).__name__} does not say what it reads: override `sources` or set cache to memory"
        )


def class_pixels(semantic: IntMap, num_classes: int) -> npt.NDArray[np.int64]:
    """The number of pixels of each class (C,) in a label map; void is not counted."""
    return np.bincount(semantic.ravel(), minlength=num_classes)[:num_classes]
