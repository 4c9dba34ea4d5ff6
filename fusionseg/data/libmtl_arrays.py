"""The copies of NYUv2 and Cityscapes in `.npy` arrays, on which MTAN and LibMTL are trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import UNVERIFIED, DataError, LabelMap, Labels, Split
from fusionseg.data.components import components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import check_level, size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched
from fusionseg.data.libmtl_copies import (
    CONTENTS,
    LAYOUT,
    Copy,
    check_copy,
    check_expected,
    label_folder,
    top_of_copy,
)
from fusionseg.data.normal_axes import Signs, check_signs, normals_along
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import decoding
from fusionseg.files.readable_path import ReadablePath
from fusionseg.files.surface_maps import read_depth
from fusionseg.sample import VOID


class LibMTLArrays(FileDataset):
    """The arrays of NYUv2 and of Cityscapes on which MTAN, LibMTL and many papers after them train.

    One class reads the copies of both data sets, since folders, names and encodings are the same. NYUv2 has
    384 x 288 pixels, 13 classes, depth in meters and normals. Cityscapes has 256 x 128 or 512 x 256 pixels,
    7 or 19 classes and an inverse depth of no stated unit, which MTAN and LibMTL call depth. Here it is the
    kind `disparity`, which `DisparityHead` learns. Label -1 is void. Colors are those of `NYUv2` and
    `Cityscapes`. There are no instances, so a region is a 4-connected component of a class.

    `train` are the 795 official training images of NYUv2, or the 2975 of Cityscapes. `val` are the 654
    official test images of NYUv2, or the 500 validation images of Cityscapes, on which papers report, so
    that a best checkpoint was chosen on them: `evaluate --checkpoint last` does without.

    The axes of the normals are not documented. They must have x to the right, y down and z away from the
    camera, and so z < 0; `normal_signs` turns axes around. A map most of whose normals point away from the
    camera is refused. Their lengths are those of the files, as MTAN and LibMTL take them.

    Download: the README of https://github.com/lorenmt/mtan links nyuv2.zip, cityscapes.zip and
    cityscapes2.zip. License: that of the data sets.

    Args:
        split: Which images.
        root: The folder that holds `train` and `val`, or the archive of the download.
        copy: Which data set, and how many classes of it: `nyuv2`, `cityscapes7` or `cityscapes19`.
        normal_signs: What x, y and z of the normals in the files are multiplied by.
        min_area: Smallest region in pixels; smaller components belong to no region.
        expected_size: Height and width of the images that a protocol is for; those of another copy are
            refused. By default any.

    Raises:
        DataError: Files are missing or do not match, or it is another copy.
        ValueError: A sign is neither 1 nor -1.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    value_range = (0.0, 1.0)
    verified = UNVERIFIED

    def __init__(
        self,
        split: Split,
        root: str | Path,
        copy: Copy,
        normal_signs: Signs = (1, 1, 1),
        min_area: int = 1,
        expected_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(split)
        check_signs(normal_signs)
        self.signs = normal_signs
        self.min_area = min_area
        content = CONTENTS[copy]
        self.classes = content.classes
        self.kinds = tuple(content.maps)
        whole = top_of_copy(root, content, expected_size)
        check_level(whole, ("train", "val"))
        top = whole / split
        check_copy(top, copy)
        folders = {"image": top / "image", "semantic": label_folder(top, content)}
        folders |= {kind: top / folder for kind, folder in content.maps.items()}
        check_layout(folders.values(), LAYOUT)
        self.files = {kind: by_stem(folder, {".npy"}) for kind, folder in folders.items()}
        for kind, folder in folders.items():
            check_matched(self.files["image"], self.files[kind], folder, folders["image"])
        if strange := [name for name in self.files["image"] if not name.isdecimal()]:
            raise DataError(f"expected arrays 0.npy, 1.npy ... in {top / 'image'}, found {some(strange)}")
        self.photos = self.files["image"]
        self.label_files = self.files["semantic"]
        self.names = sorted(self.photos, key=int)
        if copy == "cityscapes19" and folders["semantic"].name == "label":
            _check_19_classes([self.label_file(index) for index in range(len(self))[:5]])
        official = content.images[split]
        self.download = (DownloadPart(f"{split}/", "images", len(self.names), official),)
        self.notices = size_notices(self.photo(0), f"{copy} in arrays", *content.archives)
        if expected_size is not None:
            check_expected(self.photo(0), expected_size, content)

    @override
    def name(self, index: int) -> str:
        return f"{self.split}-{self.names[index]}"

    @override
    def labels(self, index: int) -> Labels:
        path = self.label_file(index)
        semantic = _class_ids(path, len(self.classes))
        maps: dict[str, LabelMap] = {}
        for kind in self.kinds:
            file = self._file(kind, index)
            # an inverse depth has no step of its own: its numbers are taken as they are
            maps[kind] = normals_along(file, self.signs) if kind == "normals" else read_depth(file, 1)
            if maps[kind].shape[:2] != semantic.shape:
                found = f"{semantic.shape} in {path}, {maps[kind].shape} in {file}"
                raise DataError(f"expected label maps of one size, found {found}")
        return Labels(semantic, components(semantic, self.min_area), maps)

    @override
    def sources(self) -> list[object]:
        files = [self._file(kind, index) for kind in self.files for index in range(len(self))]
        return [list(self.signs), self.min_area, len(self.classes), *files]

    def _file(self, kind: str, index: int) -> ReadablePath:
        return self.files[kind][self.names[index]]


def _check_19_classes(paths: Sequence[ReadablePath]) -> None:
    """Raises a DataError if the first label files of a folder have no ids above those of 7 classes."""
    found = {i for path in paths for i in np.unique(_class_ids(path, 19)).tolist()} - {VOID}
    if found and max(found) < 7:
        raise DataError(
            f"expected ids of 19 classes in {paths[0].parent}, found none above {max(found)} in the first "
            "files: set copy to cityscapes7, or take the labels of 19 classes"
        )


def _class_ids(path: ReadablePath, number: int) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of an array of numbers, `VOID` where it has -1.

    Raises:
        DataError: Some are no class ids.
    """
    with path.open("rb") as file, decoding(path):
        values = np.load(file, allow_pickle=False)
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise DataError(f"expected class ids (H, W) in {path}, found {values.dtype} {values.shape}")
    strange = ~np.isin(values, np.arange(-1, number))
    if strange.any():
        raise DataError(
            f"expected class ids 0..{number - 1}, or -1 for void, found {values[strange][0]} in {path}: mind "
            "the number of classes in copy"
        )
    return np.where(values < 0, VOID, values).astype(np.uint8)
