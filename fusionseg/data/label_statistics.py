"""Counts what the labels of a training split hold: pixels of each class, and labelled ones of each kind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import unmendable
from fusionseg.data.base import Labels, SegmentationDataset, class_pixels
from fusionseg.sample import VOID

WINDOW = 32
"""Images after which it is asked whether they tell enough, time and again."""


class LabelStatistics(NamedTuple):
    """What the labels of some training images hold; each image counts as often as an epoch repeats it.

    Attributes:
        class_pixels: The number of pixels of each class (C,) int64.
        labelled: The number of labelled pixels of each kind: `semantic`, `region`, and the dataset's `kinds`.
        pixels: The number of all pixels.
        images: How many images were looked at.
        total: How many images the split has.
        complete: Whether no image of an epoch is left to look at.
    """

    class_pixels: npt.NDArray[np.int64]
    labelled: dict[str, int]
    pixels: int
    images: int
    total: int
    complete: bool


def counted(
    dataset: SegmentationDataset, seed: int, enough: Callable[[LabelStatistics], bool] | None = None
) -> LabelStatistics:
    """Counts the labels of the images of an epoch of training.

    Args:
        dataset: The training split.
        seed: Which epoch, where the dataset draws its images, and which images make a sample.
        enough: Whether a sample of so many images tells enough; without it all images are read.
    """
    rng = np.random.default_rng(seed)
    seen, times = np.unique(dataset.order(rng, np.arange(len(dataset))), return_counts=True)
    order = np.random.default_rng(seed).permutation(len(seen))
    kinds = ("semantic", "region", *dataset.kinds)
    found = LabelStatistics(
        np.zeros(len(dataset.classes), np.int64), dict.fromkeys(kinds, 0), 0, 0, len(dataset), False
    )
    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, len(order), WINDOW):
            window = order[begin : begin + WINDOW]
            read = pool.map(unmendable()(dataset.labels), seen[window].tolist())
            for labels, count in zip(read, times[window], strict=True):
                found = _added(found, labels, int(count))
            if enough and enough(found):
                break
    return found._replace(complete=found.images == len(seen))


def _added(found: LabelStatistics, labels: Labels, times: int) -> LabelStatistics:
    """The statistics with one more image, which counts several times."""
    valid = {
        "semantic": labels.semantic != VOID,
        "region": labels.region > 0,
        **{kind: plane.any(2) if plane.ndim == 3 else plane > 0 for kind, plane in labels.maps.items()},
    }
    return found._replace(
        class_pixels=found.class_pixels + times * class_pixels(labels.semantic, len(found.class_pixels)),
        labelled={kind: n + times * int(np.count_nonzero(valid[kind])) for kind, n in found.labelled.items()},
        pixels=found.pixels + times * labels.semantic.size,
        images=found.images + 1,
    )
