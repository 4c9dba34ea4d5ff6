"""Cityscapes: street scenes of many cities with classes, things and disparity."""

from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fusionseg.data.base import NO_MAPS, DataError, LabelMap, Labels, Split, channels_first
from fusionseg.data.cityscapes_files import (
    DISPARITY,
    IMAGES,
    LABELS,
    PHOTOS,
    check_complete,
    official_top,
    part_files,
    values_in,
)
from fusionseg.data.cityscapes_labels import CLASSES, NumClasses, value_table
from fusionseg.data.downloads import size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.sample import VOID, IntMap, Truth


class Cityscapes(FileDataset):
    """Cityscapes in its official layout: 2975 / 500 frames of 2048 x 1024 with fine annotations.

    A region is as in panoptic Cityscapes: each person and vehicle by itself, and all pixels of a class of
    stuff together. Several things in one outline (values below 1000 in `instanceIds`) are a crowd, which has
    its class and no region. Classes and regions are both read from `instanceIds`. Void is what the benchmark
    does not score, such as the ego vehicle, parking places and trailers. With 7 classes, as MTAN trains on
    them (Liu et al., CVPR 2019), a class is a category of Cityscapes and void only what has none, so that
    these classes contain labels that the benchmark does not score.

    The labels of the test split are not public: `gtFine/test` holds dummies. Images of one city are a group.

    Disparity comes from semi-global matching, in pixels of the original width: 0 where there is none or a
    thing is infinitely far. Depth in meters is baseline * focal length / disparity, of the `camera` files.

    Download: https://www.cityscapes-dataset.com/downloads, after registration: leftImg8bit_trainvaltest.zip,
    gtFine_trainvaltest.zip and, for disparity, disparity_trainvaltest.zip. License: Cityscapes' own terms,
    non-commercial research and teaching.

    Args:
        split: Which frames.
        root: The folder that holds `leftImg8bit` and `gtFine`, or the archives of the download.
        num_classes: The 19 classes of the benchmark, or the 7 categories.
        disparity: Whether there are labels `disparity` (H, W) in pixels.

    Raises:
        DataError: Files are missing, photos and label files do not match, or the split is `test`.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    units = MappingProxyType({"disparity": "pixels of the original width"})
    verified = "checked on one frame of val, shrunk to 256 x 128"

    def __init__(
        self, split: Split, root: str | Path, num_classes: NumClasses = 19, disparity: bool = False
    ) -> None:
        if split == "test":
            raise DataError(
                "the labels of Cityscapes' test split are not public, and gtFine/test holds dummies: train "
                "on train, score on val and predict the photos of leftImg8bit/test with `fusionseg predict`"
            )
        super().__init__(split)
        if num_classes not in CLASSES:
            raise ValueError(f"expected num_classes of 19 or 7, found {num_classes}")
        self.num_classes = num_classes
        self.classes = CLASSES[num_classes]
        self.kinds = ("disparity",) * disparity
        parts = (PHOTOS, LABELS, DISPARITY) if disparity else (PHOTOS, LABELS)
        top = official_top(root, parts)
        self.files = {part: part_files(top, split, part) for part in parts}
        check_complete(self.files)
        self.photos = self.files[PHOTOS]
        self.label_files = self.files[LABELS]
        self.names = sorted(self.photos)
        self.download = tuple(
            (part.archive, f"{len(files)} of {IMAGES[split]} {part.what} of {split}")
            for part, files in self.files.items()
        )
        self.notices = size_notices(self.photo(0), "Cityscapes", (2048, 1024))

    @override
    def group(self, index: int) -> str | None:
        """The city, with which a frame's name begins."""
        return self.names[index].partition("_")[0]

    @override
    def labels(self, index: int) -> Labels:
        return self._labels(index, self._values(index))

    @override
    def truth(self, index: int) -> Truth:
        values = self._values(index)
        semantic, region, maps = self._labels(index, values)
        crowd = value_table(self.num_classes).crowd.take(values)
        return Truth(semantic, region, crowd, maps=channels_first(maps))

    @override
    def sources(self) -> list[object]:
        return [self.num_classes, *(part[name] for part in self.files.values() for name in self.names)]

    def _labels(self, index: int, values: IntMap) -> Labels:
        """The labels of an image, from the values of its label file."""
        table = value_table(self.num_classes)
        maps = {"disparity": self._disparity(index, values)} if self.kinds else NO_MAPS
        return Labels(table.semantic.take(values), table.region.take(values), maps)

    def _values(self, index: int) -> IntMap:
        """The values (H, W) of the label file.

        Raises:
            DataError: Some are none of official files.
        """
        path = self.label_file(index)
        values = values_in(path, LABELS)
        known = value_table(self.num_classes).known
        inside = (values >= 0) & (values < len(known))
        strange = np.unique(values[~(inside & known.take(values, mode="clip"))])
        if strange.size:
            trained = np.isin(np.where(strange >= 1000, strange // 1000, strange), [*range(11, 19), VOID])
            hint = " (train ids, as in *_labelTrainIds.png)" if trained.all() else ""
            raise DataError(
                f"expected label ids 0..33 or 1000 * id + number of a thing in {path}, found "
                f"{strange[:5].tolist()}{hint}: take the file as it is in {LABELS.archive}"
            )
        return values

    def _disparity(self, index: int, labels: IntMap) -> LabelMap:
        """The disparity (H, W) in pixels: (p - 1) / 256 of the file's values p, 0 where they are 0."""
        path = self.files[DISPARITY][self.names[index]]
        values = values_in(path, DISPARITY)
        if values.dtype.itemsize == 1:
            raise DataError(
                f"expected disparity of 16 bits, found 8 in {path}: take it from {DISPARITY.archive}"
            )
        if values.shape != labels.shape:
            (h, w), (height, width) = values.shape, labels.shape
            raise DataError(
                f"expected disparity of the labels' size {width} x {height}, found {w} x {h} in {path}"
            )
        disparity = np.maximum(values, 1).astype(np.float32)
        disparity -= 1
        disparity /= 256
        return disparity
