"""The datasets of the splits of a data module."""

from collections.abc import Callable, Sequence

from fusionseg.data.base import SegmentationDataset, Split
from fusionseg.data.checks import check_apart


class SplitDatasets(dict[Split, SegmentationDataset]):
    """Datasets by their splits, each of which is constructed when it is first asked for.

    Args:
        construct: Gives the dataset of a split.
    """

    def __init__(self, construct: Callable[[Split], SegmentationDataset]) -> None:
        super().__init__()
        self.construct = construct
        self._cached: set[Split] = set()

    def __missing__(self, split: Split) -> SegmentationDataset:
        self[split] = self.construct(split)
        return self[split]

    @property
    def any(self) -> SegmentationDataset:
        """Any split that exists already, else the training split."""
        return next(iter(self.values()), None) or self["train"]

    def prepare(
        self,
        splits: Sequence[Split],
        cached: Callable[[list[SegmentationDataset]], list[SegmentationDataset]],
    ) -> list[SegmentationDataset]:
        """Constructs splits and caches their images, once; returns those for which it had not been done.

        Args:
            splits: Which ones.
            cached: Gives datasets with their images cached.

        Raises:
            DataError: Splits have images in common, or classes that differ.
        """
        found = {split: self[split] for split in splits}
        check_apart(self)
        missing = [split for split in splits if split not in self._cached]
        kept = cached([found[split] for split in missing])
        self.update(zip(missing, kept, strict=True))
        self._cached |= set(missing)
        return kept
