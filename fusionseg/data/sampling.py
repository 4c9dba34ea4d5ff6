"""Base class of how often training images are drawn, by the classes that they show."""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import SegmentationDataset, labelled_images
from fusionseg.data.rounding import Repeats

Frequencies = npt.NDArray[np.float64]


class Sampling(ABC):
    """How often each training image is seen in an epoch, by the pixels of its classes.

    An epoch has the same number of images every time; which of the images that are wanted a fraction of a
    time come once more is drawn by the seed and the epoch.
    """

    @abstractmethod
    def repeats(self, counts: npt.NDArray[np.int64]) -> Repeats:
        """How often each image is wanted in an epoch, on average (N,).

        Args:
            counts: The number of pixels of each class in each image (N, C).
        """


def repeats_of(sampling: Sampling, dataset: SegmentationDataset, counts: npt.NDArray[np.int64]) -> Repeats:
    """How often each image of a dataset is wanted in an epoch (N,); images without labels count for nothing.

    Those are wanted once, as the dataset's `order` decides how often they come.

    Args:
        sampling: What decides of those with labels.
        dataset: The training split.
        counts: The number of pixels of each class in each image (N, C).
    """
    labelled = labelled_images(dataset)
    repeats = np.ones(len(counts))
    repeats[labelled] = sampling.repeats(counts[labelled])
    return repeats


def inverse_frequencies(counts: npt.NDArray[np.int64]) -> Frequencies:
    """1 / f(c) of each class (C,), f(c) the share of images that show it among those with labels of classes.

    That of a class that no image shows is 1.

    >>> inverse_frequencies(np.array([[9, 0, 0], [3, 1, 0], [0, 0, 0]]))
    array([1., 2., 1.])

    Args:
        counts: The number of pixels of each class in each image (N, C).
    """
    shown = counts > 0
    images = shown.sum(0)
    return np.where(images > 0, shown.any(1).sum() / np.maximum(images, 1), 1)


def largest_of_shown(values: Frequencies, counts: npt.NDArray[np.int64]) -> Frequencies:
    """For each image the largest value of the classes that it shows (N,), and 1 where it shows none.

    Args:
        values: A value of 1 or more for each class (C,).
        counts: The number of pixels of each class in each image (N, C).
    """
    largest: Frequencies = np.where(counts > 0, values, 1).max(1)
    return largest


def length_notices(dataset: SegmentationDataset, repeats: Repeats) -> list[str]:
    """A line about epochs that become longer by repeats; none where they do not.

    Args:
        dataset: The training split.
        repeats: How often each image is wanted in an epoch, on average (N,).
    """
    every = np.arange(len(dataset))
    usual, found = (len(dataset.order(np.random.default_rng(0), every, often)) for often in (None, repeats))
    if usual == found:
        return []
    return [
        f"data.sampling: an epoch has {found} images instead of {usual}, as {int((repeats > 1).sum())} with "
        f"rare classes are repeated, up to {repeats.max():.1f} times"
    ]
