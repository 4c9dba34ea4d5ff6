"""Selections of a dataset's images."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset
from fusionseg.data.rounding import Repeats
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Truth


class Subset(SegmentationDataset):
    """Some images of a dataset.

    Args:
        dataset: The whole dataset.
        indices: Which of its images, in the wanted order.
    """

    def __init__(self, dataset: SegmentationDataset, indices: Sequence[int]) -> None:
        # The base's constructor is not called: it would check the split against this class's own list of
        # splits.
        self.dataset = dataset
        self.indices = tuple(indices)
        self.split = dataset.split
        self.classes = dataset.classes
        self.notices = dataset.notices
        self.channels = dataset.channels
        self.value_range = dataset.value_range
        self.depth_limit = dataset.depth_limit
        self.kinds = dataset.kinds
        self.units = dataset.units
        self.verified = dataset.verified
        self.download = dataset.download

    def __len__(self) -> int:
        return len(self.indices)

    @override
    def name(self, index: int) -> str:
        dataset, place = self._at(index)
        return dataset.name(place)

    @override
    def photo(self, index: int) -> ReadablePath | None:
        dataset, place = self._at(index)
        return dataset.photo(place)

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        dataset, place = self._at(index)
        return dataset.image_size(place)

    @override
    def group(self, index: int) -> str | None:
        dataset, place = self._at(index)
        return dataset.group(place)

    @override
    def read(self, index: int) -> Pixels:
        dataset, place = self._at(index)
        return dataset.read(place)

    @override
    def labels(self, index: int) -> Labels:
        dataset, place = self._at(index)
        return dataset.labels(place)

    @override
    def shown(self, index: int) -> npt.NDArray[np.float32] | None:
        dataset, place = self._at(index)
        return dataset.shown(place)

    @override
    def has_labels(self, index: int) -> bool:
        dataset, place = self._at(index)
        return dataset.has_labels(place)

    @override
    def truth(self, index: int) -> Truth:
        dataset, place = self._at(index)
        return dataset.truth(place)

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        dataset, place = self._at(index)
        return dataset.annotation(place, rng)

    @override
    def order(
        self, rng: np.random.Generator, among: npt.NDArray[np.int64], repeats: Repeats | None = None
    ) -> npt.NDArray[np.int64]:
        indices = np.array(self.indices, np.int64)
        sorting = indices.argsort()
        order = self.dataset.order(rng, indices[among], repeats)
        return sorting[indices.searchsorted(order, sorter=sorting)]

    @override
    def sources(self) -> list[object]:
        return [type(self.dataset), self.indices, *self.dataset.sources()]

    def _at(self, index: int) -> tuple[SegmentationDataset, int]:
        """The dataset that an image belongs to, and its index there."""
        return self.dataset, self.indices[index]


def fraction_of(dataset: SegmentationDataset, fraction: float, seed: int) -> Subset:
    """A part of a dataset, in the dataset's order; a larger fraction of the same seed contains a smaller one.

    An image is in it or not whatever other images there are, so that the size is `fraction` only on average.

    Args:
        dataset: The whole dataset.
        fraction: Part of its images, in [0, 1].
        seed: Which of them.

    Raises:
        DataError: The part is empty.
    """
    indices = [i for i in range(len(dataset)) if drawn(f"{seed}/{dataset.name(i)}") < fraction]
    if not indices:
        raise DataError(
            f"expected images in a fraction of {fraction:g} of {len(dataset)}, found none: raise "
            "data.fraction"
        )
    return Subset(dataset, indices)


def drawn(name: str) -> float:
    """A number in [0, 1) that is as good as random and depends on the name alone.

    >>> round(drawn("0001TP_006690"), 3), round(drawn("0001TP_006720"), 3)
    (0.558, 0.273)
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
