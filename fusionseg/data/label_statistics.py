"""Counts what the labels of a training split hold: pixels of each class, and labelled ones of each kind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import unmendable
from fusionseg.data.base import Labels, SegmentationDataset, class_pixels, labelled_images
from fusionseg.sample import VOID

WINDOW = 32
"""Images after which it is asked whether they tell enough, time and again."""


class LabelStatistics(NamedTuple):
    """What the labels of some training images hold.

    Attributes:
        class_pixels: The number of pixels of each class (C,) int64.
        labelled: The number of labelled pixels of each kind: `semantic`, `region`, and the dataset's `kinds`.
        pixels: The number of all pixels.
        images: How many images were looked at.
        total: How many images the split has, without those that have no labels.
    """

    class_pixels: npt.NDArray[np.int64]
    labelled: dict[str, int]
    pixels: int
    images: int
    total: int


def counted(
    dataset: SegmentationDataset, seed: int, enough: Callable[[LabelStatistics], bool]
) -> LabelStatistics:
    """Counts the labels of images of an epoch of training, in a random order.

    Args:
        dataset: The training split.
        seed: Which epoch, where the dataset draws its images, and which order.
        enough: Whether the labels of the images so far tell enough; if it is never true, all are read.
    """
    rng = np.random.default_rng(seed)
    among = labelled_images(dataset)
    order = rng.permutation(np.unique(dataset.order(rng, among)))
    kinds = ("semantic", "region", *dataset.kinds)
    found = LabelStatistics(
        np.zeros(len(dataset.classes), np.int64), dict.fromkeys(kinds, 0), 0, 0, len(among)
    )
    read = unmendable()(dataset.labels)
    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, len(order), WINDOW):
            for labels in pool.map(read, order[begin : begin + WINDOW].tolist()):
                found = _added(found, labels)
            if enough(found):
                break
    return found


def _added(found: LabelStatistics, labels: Labels) -> LabelStatistics:
    """The statistics with one more image."""
    number = labelled_pixels(labels)
    return found._replace(
        class_pixels=found.class_pixels + class_pixels(labels.semantic, len(found.class_pixels)),
        labelled={kind: n + number[kind] for kind, n in found.labelled.items()},
        pixels=found.pixels + labels.semantic.size,
        images=found.images + 1,
    )


def labelled_pixels(labels: Labels) -> dict[str, int]:
    """The number of labelled pixels of an image by kind: `semantic`, `region`, and those of its maps."""
    valid = {
        "semantic": labels.semantic != VOID,
        "region": labels.region > 0,
        **{kind: plane.any(2) if plane.ndim == 3 else plane > 0 for kind, plane in labels.maps.items()},
    }
    return {kind: int(np.count_nonzero(plane)) for kind, plane in valid.items()}
