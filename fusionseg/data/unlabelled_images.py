"""Images without labels: those of a folder of photos, and those of a dataset whose labels are left out."""

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.subset import Subset
from fusionseg.files.archives import tree
from fusionseg.files.image_sizes import stored_size
from fusionseg.files.matching import by_stem
from fusionseg.files.photos import photo_suffixes, read_image
from fusionseg.sample import VOID, Truth


class WithoutLabels(Subset):
    """Images of a dataset as if they had no labels: all classes are void, and there are no regions."""

    @override
    def read(self, index: int) -> Pixels:
        pixels = super().read(index)
        return Pixels(pixels.image, *_blank(Labels(*pixels[1:])))

    @override
    def labels(self, index: int) -> Labels:
        return _blank(super().labels(index))

    @override
    def has_labels(self, index: int) -> bool:
        return False

    @override
    def truth(self, index: int) -> Truth:
        return SegmentationDataset.truth(self, index)

    @override
    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        return None

    @override
    def sources(self) -> list[object]:
        return ["without labels", *super().sources()]


class Photos(FileDataset):
    """The photos of a folder, without labels, with the classes and the kinds of labels of another dataset.

    Args:
        root: The folder, on disk or inside of an archive; photos may lie in folders below.
        like: The dataset whose images they are like.

    Raises:
        DataError: There are no photos, or the other images have a channel of depth.
    """

    def __init__(self, root: str | Path, like: SegmentationDataset) -> None:
        super().__init__("train")
        if like.depth_limit is not None:
            raise DataError(
                f"expected images without a channel of depth beside the photos in {root}, which have none"
            )
        folder = tree(root)
        if not folder.is_dir():
            raise DataError(
                f"expected a folder of photos, found none at {folder}: set data.unlabelled.photos"
            )
        found = by_stem(folder, photo_suffixes())
        if not found:
            raise DataError(f"expected photos in {folder}, found none: set data.unlabelled.photos")
        self.photos = {f"unlabelled-{name}": path for name, path in found.items()}
        self.names = list(self.photos)
        self.like = like
        self.classes = like.classes
        self.channels = like.channels
        self.value_range = like.value_range
        self.kinds = like.kinds

    @override
    def read(self, index: int) -> Pixels:
        image = read_image(self.photo(index), self.value_range, self.channels)
        return Pixels(image, *self._blank((image.shape[0], image.shape[1])))

    @override
    def labels(self, index: int) -> Labels:
        size = stored_size(self.photo(index))
        return Labels(*self.read(index)[1:]) if size is None else self._blank(size)

    @override
    def has_labels(self, index: int) -> bool:
        return False

    @override
    def sources(self) -> list[object]:
        return [self.photos[name] for name in self.names]

    def _blank(self, size: tuple[int, int]) -> Labels:
        """Label maps of a size (H, W) in which nothing is labelled."""
        maps = {kind: np.zeros((*size, *axes), np.float32) for kind, axes in self._axes.items()}
        empty = Labels(np.full(size, VOID, np.uint8), np.zeros(size, np.uint16))
        return empty._replace(maps=maps) if maps else empty

    @functools.cached_property
    def _axes(self) -> dict[str, tuple[int, ...]]:
        """The axes behind (H, W) of each kind of map of the other dataset."""
        maps = self.like.labels(0).maps if self.kinds else {}
        return {kind: plane.shape[2:] for kind, plane in maps.items()}


def _blank(labels: Labels) -> Labels:
    """Label maps of the same sizes and kinds in which nothing is labelled."""
    maps = {kind: np.zeros_like(plane) for kind, plane in labels.maps.items()} or labels.maps
    return Labels(np.full_like(labels.semantic, VOID), np.zeros_like(labels.region), maps)
