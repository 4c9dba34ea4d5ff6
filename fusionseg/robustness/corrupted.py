"""A dataset whose images are corrupted, and whose labels move along."""

from dataclasses import replace
from hashlib import blake2b

import numpy as np
from typing_extensions import override

from fusionseg.corruptions import Corruption, LabelChange
from fusionseg.data.base import Labels, Pixels, SegmentationDataset
from fusionseg.data.corrupting import change_of, corrupted, moved
from fusionseg.data.subset import Subset
from fusionseg.sample import VOID, Array, Truth


class Corrupted(Subset):
    """A dataset whose images are corrupted as they are stored, before they are scaled for a network.

    What happens to an image is a function of the seed, its name, the corruption and the severity, whatever
    the order and the number of workers.

    Args:
        dataset: One split.
        corruption: The corruption.
        severity: How strong it is, in 1..5.
        seed: What it depends on besides.
    """

    def __init__(
        self, dataset: SegmentationDataset, corruption: Corruption, severity: int, seed: int = 0
    ) -> None:
        super().__init__(dataset, range(len(dataset)))
        self.corruption = corruption
        self.severity = severity
        self.seed = seed

    @override
    def read(self, index: int) -> Pixels:
        seed = self.seed_of(index)
        return corrupted(super().read(index), self.corruption, self.severity, seed, self.color_channels)

    @override
    def labels(self, index: int) -> Labels:
        labels = super().labels(index)
        return moved(labels, self._change(labels.semantic.shape, index))

    @override
    def truth(self, index: int) -> Truth:
        truth = super().truth(index)
        change = self._change(truth.semantic.shape, index)
        if change is None:
            return truth
        return replace(
            truth,
            semantic=change.ids(truth.semantic, VOID),
            region=change.ids(truth.region, 0),
            crowd=None if truth.crowd is None else change.ids(truth.crowd, VOID),
            others=tuple(change.ids(other, 0) for other in truth.others),
            maps={kind: _channels_first(change, kind, plane) for kind, plane in truth.maps.items()},
        )

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> Array | None:
        region = super().annotation(index, rng)
        change = None if region is None else self._change(region.shape, index)
        return region if region is None or change is None else change.ids(region, 0)

    @override
    def sources(self) -> list[object]:
        return [self.corruption.name, self.severity, self.seed, *super().sources()]

    def seed_of(self, index: int) -> int:
        """The seed of the corruption of an image."""
        words = (self.seed, self.name(index), self.corruption.name, self.severity)
        return int.from_bytes(blake2b(repr(words).encode(), digest_size=8).digest(), "little")

    def _change(self, size: tuple[int, ...], index: int) -> LabelChange | None:
        """What happens to the label maps of an image, of a size (H, W); None if nothing does."""
        return change_of(self.corruption, size, self.severity, self.seed_of(index))


def _channels_first(change: LabelChange, kind: str, plane: Array) -> Array:
    """A map (H, W) or (C, H, W) of a further kind as it is changed."""
    if plane.ndim == 2:
        return change.values(kind, plane)
    return np.moveaxis(change.values(kind, np.moveaxis(plane, 0, 2)), 2, 0)
