"""Some images of a dataset."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import Labels, Pixels, SegmentationDataset
from fusionseg.sample import Truth


class Subset(SegmentationDataset):
    """Some images of a dataset, which is asked for everything.

    Args:
        dataset: The whole.
        indices: Which of its images, in the order wanted.
    """

    def __init__(self, dataset: SegmentationDataset, indices: Sequence[int]) -> None:
        # Not the base's constructor: the split has been checked and what splits there are is the whole's affair.
        self.dataset = dataset
        self.indices = tuple(indices)
        self.split, self.classes, self.channels = dataset.split, dataset.classes, dataset.channels

    def __len__(self) -> int:
        return len(self.indices)

    @override
    def name(self, index: int) -> str:
        return self.dataset.name(self.indices[index])

    @override
    def read(self, index: int) -> Pixels:
        return self.dataset.read(self.indices[index])

    @override
    def labels(self, index: int) -> Labels:
        return self.dataset.labels(self.indices[index])

    @override
    def truth(self, index: int) -> Truth:
        return self.dataset.truth(self.indices[index])

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        return self.dataset.annotation(self.indices[index], rng)

    @override
    def order(self, rng: np.random.Generator, among: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        indices = np.array(self.indices, np.int64)
        sorting = indices.argsort()
        return sorting[indices.searchsorted(self.dataset.order(rng, indices[among]), sorter=sorting)]

    @override
    def sources(self) -> list[object]:
        return [type(self.dataset), self.indices, *self.dataset.sources()]
