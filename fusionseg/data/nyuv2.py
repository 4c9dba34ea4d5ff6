"""NYUv2: indoor photos with depth, and objects and surfaces labeled one by one, in the official file."""

import functools
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import UNVERIFIED, DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import size_notices
from fusionseg.data.layout import check_layout
from fusionseg.data.nyu_copies import OFFICIAL, other_copy
from fusionseg.data.nyu_metadata import (
    LABELS,
    SPLITS,
    NumClasses,
    class_table,
    mapping_files,
    nyu_classes,
    split_numbers,
)
from fusionseg.data.subset import drawn
from fusionseg.files.hdf5 import HDF5File
from fusionseg.files.surface_maps import in_meters
from fusionseg.sample import Array, IntMap

LAYOUT = """    nyu_depth_v2_labeled.mat   images, labels, instances, depths, rawDepths, scenes   (2.8 GB)
    splits.mat                 trainNdxs, testNdxs
    classMapping40.mat         from 894 labels to 40 classes
    class13Mapping.mat         from these to 13, only for num_classes: 13
    (the small files: github.com/ankurhanda/nyuv2-meta-data)"""

Depth: TypeAlias = Literal["filled", "raw", "none"]

_DEPTHS = {"filled": "depths", "raw": "rawDepths"}
"""The arrays of depth."""

_INSTANCES = 256
"""One more than the largest instance that the file's 8 bits hold."""


class NYUv2(SegmentationDataset):
    """The 1449 labeled images of NYU Depth v2 in the official MATLAB file: 640 x 480 pixels of 464 scenes.

    A region is one pair of label (of 894) and instance, as the toolbox of its authors tells instances apart
    (Silberman, Hoiem, Kohli and Fergus, ECCV 2012); it is void where both are 0. Classes are the usual 40 or
    13, which the official mapping files make of the labels; label 0 is void. Colors are our own, as the
    download has none. All classes but wall, floor and ceiling are things. Depth is in meters, as the Kinect
    measured it (`raw`, 0 where it saw nothing) or with holes filled (`filled`). There are no normals in this
    file: `NYUv2Copy` reads copies that have them.

    `train` are the 795 official training images, and `val` the 654 official test images, which papers report
    on, so that a best checkpoint was chosen on them: `evaluate --checkpoint last` does without. Or
    `val_scenes` holds out that share of the training scenes, each drawn by its name, as `val`, and the
    official test images are `test`. As all images are in one file, a run does not remember which of them it
    was trained on. Images are named by their number in the file, from 1.

    Download: https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html, the file nyu_depth_v2_labeled.mat.
    License: none is stated; its authors ask to be cited. It takes `pip install "fusionseg[nyu]"`.

    Args:
        split: Which images.
        root: The folder that holds the official files.
        num_classes: Whether there are 40 classes or 13.
        depth: Which depth is the label `depth`.
        val_scenes: Share of the training scenes to validate on; without it, the test images are `val`.

    Raises:
        DataError: Files are missing, or hold something else, or there is no such split.
        ValueError: The share is out of its range.
        UsageError: If h5py is not installed.
    """

    verified = UNVERIFIED

    def __init__(
        self,
        split: Split,
        root: str | Path,
        num_classes: NumClasses = 40,
        depth: Depth = "filled",
        val_scenes: float = 0.0,
    ) -> None:
        super().__init__(split)
        if not 0 <= val_scenes < 1:
            raise ValueError(f"expected a share val_scenes in [0, 1), found {val_scenes}")
        if split == "test" and not val_scenes:
            raise DataError("the official test images are the split val: set val_scenes for another one")
        self.root = Path(root)
        official = self.root / OFFICIAL
        if not official.is_file() and (other := other_copy(self.root)):
            raise DataError(other)
        self.metadata = [self.root / SPLITS, *mapping_files(self.root, num_classes)]
        check_layout([official, *self.metadata], LAYOUT)
        self.file = HDF5File(official)
        self.classes = nyu_classes(num_classes, "an object or surface that was labeled by itself")
        self.table = class_table(self.root, num_classes)
        self.depth: Depth = depth
        self.kinds = ("depth",) * (depth != "none")
        self.count = self._count()
        self.numbers = self._split_numbers(split, val_scenes)
        self.download = (DownloadPart(OFFICIAL, "images", self.count, 1449),)
        self.notices = size_notices(official, "NYUv2", (480, 640), found=self.image_size(0))

    def __len__(self) -> int:
        return len(self.numbers)

    @override
    def name(self, index: int) -> str:
        return f"{self.numbers[index]:05d}"

    @override
    def group(self, index: int) -> str:
        """The scene that an image is of, such as `kitchen_0004`."""
        return self._scenes[self.numbers[index] - 1]

    @override
    def image_size(self, index: int) -> tuple[int, int]:
        width, height = self.file.shapes()["images"][2:]
        return height, width

    @override
    def read(self, index: int) -> Pixels:
        image = self._part("images", index)
        return Pixels(np.ascontiguousarray(image.transpose(2, 1, 0)), *self.labels(index))

    @override
    def labels(self, index: int) -> Labels:
        label = self._part("labels", index).T
        instance = self._part("instances", index).T
        if label.max() > LABELS:
            raise DataError(
                f"expected labels 0..{LABELS} of image {self.name(index)} in {self.file.path}, found "
                f"{label.max()}"
            )
        semantic = np.ascontiguousarray(self.table[label])
        labels = Labels(semantic, _regions(label, instance))
        if self.depth == "none":
            return labels
        depth = self._part(_DEPTHS[self.depth], index).T
        return labels._replace(maps={"depth": np.ascontiguousarray(in_meters(depth, self.file.path))})

    @override
    def sources(self) -> list[object]:
        return [len(self.classes), self.depth, self.numbers, self.file.path, *self.metadata]

    def _split_numbers(self, split: Split, val_scenes: float) -> list[int]:
        """The numbers of the images of a split in the file, from 1.

        Raises:
            DataError: There are none, or the file does not have them.
        """
        is_test = split == "test" or (split == "val" and not val_scenes)
        numbers = split_numbers(self.root / SPLITS, "test" if is_test else "train")
        if numbers[-1] > self.count:
            raise DataError(
                f"expected image {numbers[-1]} of {SPLITS} in {self.file.path}, found {self.count} images"
            )
        if is_test or not val_scenes:
            return numbers
        numbers = [n for n in numbers if (drawn(self._scenes[n - 1]) < val_scenes) == (split == "val")]
        if not numbers:
            raise DataError(f"expected scenes to {split} on for val_scenes {val_scenes:g}, found none")
        return numbers

    def _part(self, name: str, index: int) -> Array:
        """An array of an image, its axes in reverse."""
        return self.file.part(name, self.numbers[index] - 1)

    @functools.cached_property
    def _scenes(self) -> list[str]:
        """The scene of each image in the file."""
        return self.file.texts("scenes")

    def _count(self) -> int:
        """The number of images in the file.

        Raises:
            DataError: The file does not have the official arrays, or they have several sizes.
        """
        shapes = self.file.shapes()
        wanted = ["images", "labels", "instances"]
        wanted += [_DEPTHS[self.depth]] if self.depth != "none" else []
        if missing := [name for name in wanted if name not in shapes]:
            raise DataError(
                f"expected the official arrays in {self.file.path}, found no {', '.join(missing)}"
            )
        number, *rest = shapes["images"]
        if len(rest) != 3 or rest[0] != 3 or any(shapes[n] != (number, *rest[1:]) for n in wanted[1:]):
            found = ", ".join(f"{name} {shapes[name]}" for name in wanted)
            raise DataError(
                "expected the official arrays with axes in reverse, images (N, 3, width, height) and others "
                f"(N, width, height), found {found} in {self.file.path}: is it a converted copy?"
            )
        return number


def _regions(label: IntMap, instance: IntMap) -> npt.NDArray[np.uint16]:
    """The pairs of label and instance (H, W), numbered from 1 in their order; 0 where both are 0."""
    pair = label.astype(np.int32) * _INSTANCES + instance
    found = np.zeros((LABELS + 1) * _INSTANCES, bool)
    found[pair] = True
    found[0] = False
    numbers = found.cumsum(dtype=np.uint16)
    return np.ascontiguousarray(numbers[pair])
