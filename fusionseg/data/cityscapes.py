"""Cityscapes: street scenes of many cities with classes, things and disparity."""

from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import NO_MAPS, DataError, LabelMap, Labels, Pixels, Split, channels_first
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
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.input_size import Label, nearest_labels, resized_image
from fusionseg.data.layout import check_size
from fusionseg.files.photos import read_image
from fusionseg.sample import VOID, IntMap, Truth


class Cityscapes(FileDataset):
    """Cityscapes in its official layout: 2975 / 500 frames of 2048 x 1024 with fine annotations.

    A region is as in panoptic Cityscapes: each person and vehicle by itself, and all pixels of a class of
    stuff together. Several things in one outline (values below 1000 in `instanceIds`) are a crowd, which has
    its class and no region. Classes and regions are both read from `instanceIds`. Void is what the benchmark
    does not score, such as the ego vehicle, parking places and trailers. With 7 classes, as MTAN trains on
    them (Liu et al., CVPR 2019), a class is a category of Cityscapes and void only what has none, so that
    these classes contain labels that the benchmark does not score. Colors are the official ones; a category
    has that of its most frequent class.

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
        size: Height and width to which images and labels are brought, such as 128 x 256, the Tiny CityScapes
            of Kendall et al. (CVPR 2018, arXiv:1705.07115, sec. 5.1): a data set of its own, whose
            predictions are scored at that size, and whose disparity is in pixels of that width. Set
            `data.resize` to the same, by which `predict` brings photos to it. By default that of the files.

    Raises:
        DataError: Files are missing, photos and label files do not match, or the split is `test`.
        ValueError: If `num_classes` is neither 19 nor 7, or `size` not positive.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    units = MappingProxyType({"disparity": "pixels of the original width"})
    verified = "checked on one frame of val, shrunk to 256 x 128"

    def __init__(
        self,
        split: Split,
        root: str | Path,
        num_classes: NumClasses = 19,
        disparity: bool = False,
        size: tuple[int, int] | None = None,
    ) -> None:
        if split == "test":
            raise DataError(
                "the labels of Cityscapes' test split are not public, and gtFine/test holds dummies: train "
                "on train, score on val and predict the photos of leftImg8bit/test with `fusionseg predict`"
            )
        super().__init__(split)
        if num_classes not in CLASSES:
            raise ValueError(f"expected num_classes of 19 or 7, found {num_classes}")
        if size is not None and min(size) < 1:
            raise ValueError(f"expected a size of at least 1 x 1 pixel, found {size[0]} x {size[1]}")
        self.num_classes = num_classes
        self.size = None if size is None else (size[0], size[1])
        if self.size is not None:
            self.units = MappingProxyType({"disparity": f"pixels of {self.size[1]} columns"})
        self.classes = CLASSES[num_classes]
        self.kinds = ("disparity",) * disparity
        if disparity:
            self.verified += ", but with disparity only on files that tests write in its encoding"
        parts = (PHOTOS, LABELS, DISPARITY) if disparity else (PHOTOS, LABELS)
        top = official_top(root, parts)
        self.files = {part: part_files(top, split, part) for part in parts}
        check_complete(self.files)
        self.photos = self.files[PHOTOS]
        self.label_files = self.files[LABELS]
        self.names = sorted(self.photos)
        self.download = tuple(
            DownloadPart(part.archive, f"{part.what} of {split}", len(files), IMAGES[split])
            for part, files in self.files.items()
        )
        self.notices = size_notices(self.photo(0), "Cityscapes", (1024, 2048))

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        return self.size or super().image_size(index)

    @override
    def group(self, index: int) -> str | None:
        """The city, with which a frame's name begins."""
        return self.names[index].partition("_")[0]

    @override
    def read(self, index: int) -> Pixels:
        photo = self.photo(index)
        image = read_image(photo)
        values = self._values(index)
        check_size(values, image, self.label_file(index), photo)
        if self.size is not None:
            image = resized_image(image, self.size)
        return Pixels(image, *self._labels(index, values))

    @override
    def labels(self, index: int) -> Labels:
        return self._labels(index, self._values(index))

    @override
    def truth(self, index: int) -> Truth:
        values = self._values(index)
        semantic, region, maps = self._labels(index, values)
        crowd = self._sized(value_table(self.num_classes).crowd.take(values))
        return Truth(semantic, region, crowd, maps=channels_first(maps))

    @override
    def sources(self) -> list[object]:
        return [
            self.num_classes,
            self.size,
            *(part[name] for part in self.files.values() for name in self.names),
        ]

    def _labels(self, index: int, values: IntMap) -> Labels:
        """The labels of an image, from the values of its label file."""
        table = value_table(self.num_classes)
        maps = {"disparity": self._disparity(index, values)} if self.kinds else NO_MAPS
        semantic = self._sized(table.semantic.take(values))
        return Labels(semantic, self._sized(table.region.take(values)), maps)

    def _sized(self, labels: npt.NDArray[Label]) -> npt.NDArray[Label]:
        """A label map (H, W) of the files at the size that is wanted."""
        return labels if self.size is None else nearest_labels(labels, self.size)

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
        """The disparity (H, W) in pixels: (p - 1) / 256 of the file's values p, 0 where they are 0.

        In pixels of another width it is by that much less.
        """
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
        sized = self._sized(disparity)
        return sized if self.size is None else sized * np.float32(self.size[1] / labels.shape[1])
