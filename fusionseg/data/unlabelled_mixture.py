"""Images without labels beside those with labels, for training with few labels."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.data.rounding import Repeats
from fusionseg.data.subset import Subset, fraction_of
from fusionseg.data.unlabelled_images import Photos, WithoutLabels


@dataclass(frozen=True)
class Unlabelled:
    """Which images without labels are trained on beside those with labels.

    They are the training images that `data.fraction` leaves out, whose labels nobody learns from, and the
    photos of a folder.

    Args:
        photos: A folder of photos, also in an archive; none by default.
        share: Their part of each batch, above 0 and below 1.

    Raises:
        ValueError: The share is out of its range.
    """

    photos: str | None = None
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"expected data.unlabelled.share above 0 and below 1, found {self.share}")


class UnlabelledMixture(Subset):
    """Images with labels, followed by images without.

    An epoch has the images with labels as `order` of their dataset gives them, and so many of the others that
    they are a given share of it. They alternate, so that each batch, and each rank's part of it, has its
    share of both, to within one image.

    Args:
        labelled: The images with labels.
        unlabelled: Datasets of images without.
        share: The part of an epoch that is without labels, above 0 and below 1.

    Raises:
        DataError: There are no images without labels, or labels are of whole images.
    """

    def __init__(
        self, labelled: SegmentationDataset, unlabelled: Sequence[SegmentationDataset], share: float
    ) -> None:
        super().__init__(labelled, range(len(labelled)))
        if labelled.classes.per_image:
            raise DataError("expected label maps beside images without labels, found labels of whole images")
        self.parts = [labelled, *unlabelled]
        self.starts = [0, *accumulate(map(len, self.parts))]
        self.share = share
        if len(self) == len(labelled):
            raise DataError(
                "expected images without labels, found none: set data.fraction below 1 or "
                "data.unlabelled.photos"
            )

    def __len__(self) -> int:
        return self.starts[-1]

    @override
    def order(
        self, rng: np.random.Generator, among: npt.NDArray[np.int64], repeats: Repeats | None = None
    ) -> npt.NDArray[np.int64]:
        own = among < len(self.dataset)
        labelled = self.dataset.order(rng, among[own], None if repeats is None else repeats[own])
        pool = among[~own]
        if not len(pool) or not len(labelled):
            return labelled
        length = max(round(len(labelled) / (1 - self.share)), len(labelled) + 1)
        number = length - len(labelled)
        rounds = [rng.permutation(pool) for _ in range(-(-number // len(pool)))]
        order = np.empty(length, np.int64)
        without = np.diff(np.arange(length + 1) * number // length) > 0
        order[~without] = labelled
        order[without] = np.concatenate(rounds)[:number]
        return order

    @override
    def sources(self) -> list[object]:
        return [source for part in self.parts for source in (type(part), *part.sources())]

    @override
    def _at(self, index: int) -> tuple[SegmentationDataset, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"expected an image in 0..{len(self) - 1}, found {index}")
        k = bisect_right(self.starts, index) - 1
        return self.parts[k], index - self.starts[k]


def training_images(
    dataset: SegmentationDataset, fraction: float, seed: int, unlabelled: Unlabelled | None
) -> SegmentationDataset:
    """The images to train on: a fraction of a dataset's with labels, and maybe images without.

    Raises:
        DataError: There are none of them.
    """
    labelled: SegmentationDataset = dataset
    parts: list[SegmentationDataset] = []
    if fraction < 1:
        labelled = few = fraction_of(dataset, fraction, seed)
        parts.append(WithoutLabels(dataset, sorted(set(range(len(dataset))) - set(few.indices))))
    if unlabelled is None:
        return labelled
    if unlabelled.photos is not None:
        parts.append(Photos(unlabelled.photos, dataset))
    return UnlabelledMixture(labelled, parts, unlabelled.share)
