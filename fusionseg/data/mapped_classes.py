"""A dataset with the classes of another one, which are found by their names."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset
from fusionseg.data.subset import Subset
from fusionseg.sample import VOID, Classes, Truth


class MappedClasses(Subset):
    """A dataset whose class ids are replaced by those of other classes, of the same or of given names.

    Args:
        dataset: One split.
        classes: The other classes. Which of them are things is theirs to say, what a region is, is the
            dataset's.
        names: The name there of each class whose name differs, None for void.

    Raises:
        DataError: A name is unknown here or there.
    """

    def __init__(
        self, dataset: SegmentationDataset, classes: Classes, names: Mapping[str, str | None]
    ) -> None:
        super().__init__(dataset, range(len(dataset)))
        own = dataset.classes.names
        if dataset.classes.per_image:
            raise DataError("expected label maps to give other classes, found labels of whole images")
        if unknown := [name for name in names if name not in own]:
            raise DataError(
                f"expected names of the data's classes {', '.join(own)}, found {_listed(unknown)}"
            )
        theirs = {name: names.get(name, name) for name in own}
        ids: dict[str | None, int] = {None: VOID}
        ids |= {name: i for i, name in enumerate(classes.names)}
        if lost := [name for name, other in theirs.items() if other not in ids]:
            raise DataError(
                f"expected for each class of the data one of {', '.join(classes.names)}, or null for void; "
                f"found none for {_listed(lost)}"
            )
        self.classes = replace(classes, region=dataset.classes.region)
        self.table = np.full(VOID + 1, VOID, np.uint8)
        self.table[: len(own)] = [ids[theirs[name]] for name in own]

    @override
    def read(self, index: int) -> Pixels:
        pixels = self.dataset.read(index)
        return pixels._replace(semantic=self.table.take(pixels.semantic))

    @override
    def labels(self, index: int) -> Labels:
        labels = self.dataset.labels(index)
        return labels._replace(semantic=self.table.take(labels.semantic))

    @override
    def truth(self, index: int) -> Truth:
        truth = self.dataset.truth(index)
        crowd = None if truth.crowd is None else self.table.take(truth.crowd)
        return replace(truth, semantic=self.table.take(truth.semantic), crowd=crowd)

    @override
    def sources(self) -> list[object]:
        return [self.table.tobytes(), *super().sources()]


def _listed(names: list[str]) -> str:
    return ", ".join(map(str, names))
