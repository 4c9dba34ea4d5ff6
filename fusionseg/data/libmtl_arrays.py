"""The copies of NYUv2 and Cityscapes in `.npy` arrays, on which MTAN and LibMTL are trained."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import UNVERIFIED, DataError, LabelMap, Labels, Split
from fusionseg.data.cityscapes_labels import CLASSES
from fusionseg.data.components import REGION, components
from fusionseg.data.downloads import check_level
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched
from fusionseg.data.normal_axes import Signs, check_signs, normals_along
from fusionseg.data.nyu_metadata import nyu_classes
from fusionseg.files.archives import tree
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import decoding
from fusionseg.files.readable_path import ReadablePath
from fusionseg.files.surface_maps import read_depth
from fusionseg.sample import VOID, Classes

Copy: TypeAlias = Literal["nyuv2", "cityscapes7", "cityscapes19"]

LAYOUT = """    {train,val}/image/<i>.npy    (H, W, 3), 0 to 1; i = 0, 1, 2 ...
    {train,val}/label/<i>.npy    (H, W), -1 for void; for Cityscapes also label_7 or label_19
    {train,val}/depth/<i>.npy    (H, W, 1), 0 where it is not known
    {train,val}/normal/<i>.npy   (H, W, 3), the zero vector where it is not known; NYUv2 alone"""


class _Content(NamedTuple):
    """What a copy has: classes, folders that may hold labels, those of further kinds, numbers of images."""

    classes: Classes
    labels: tuple[str, ...]
    maps: Mapping[str, str]
    images: Mapping[str, int]


_STREETS = {"train": 2975, "val": 500}
_CONTENTS: dict[Copy, _Content] = {
    "nyuv2": _Content(
        nyu_classes(13, REGION),
        ("label",),
        {"depth": "depth", "normals": "normal"},
        {"train": 795, "val": 654},
    ),
    "cityscapes7": _Content(
        replace(CLASSES[7], region=REGION, ids=()), ("label_7", "label"), {"disparity": "depth"}, _STREETS
    ),
    "cityscapes19": _Content(
        replace(CLASSES[19], region=REGION, ids=()), ("label_19", "label"), {"disparity": "depth"}, _STREETS
    ),
}


class LibMTLArrays(FileDataset):
    """The arrays of NYUv2 and of Cityscapes on which MTAN, LibMTL and many papers after them train.

    One class reads the copies of both data sets, since folders, names and encodings are the same. NYUv2 has
    384 x 288 pixels, 13 classes, depth in meters and normals. Cityscapes has 256 x 128 or 512 x 256 pixels,
    7 or 19 classes and an inverse depth of no stated unit, which MTAN and LibMTL call depth. Here it is the
    kind `disparity`, which `DisparityHead` learns. Label -1 is void. There are no instances, so a region is a
    4-connected component of a class.

    `train` are the 795 official training images of NYUv2, or the 2975 of Cityscapes. `val` are the 654
    official test images of NYUv2, or the 500 validation images of Cityscapes, on which papers report, so
    that a best checkpoint was chosen on them: `evaluate --checkpoint last` does without.

    The axes of the normals are not documented. They must be unit vectors with x to the right, y down and z
    away from the camera, and so z < 0; `normal_signs` turns axes around. A map most of whose normals point
    away from the camera is refused.

    Download: the README of https://github.com/lorenmt/mtan links nyuv2.zip, cityscapes.zip and
    cityscapes2.zip. License: that of the data sets.

    Args:
        split: Which images.
        root: The folder that holds `train` and `val`, on disk or inside of an archive (`nyuv2.zip/nyuv2`).
        copy: Which data set, and how many classes of it: `nyuv2`, `cityscapes7` or `cityscapes19`.
        normal_signs: What x, y and z of the normals in the files are multiplied by.
        min_area: Smallest region in pixels; smaller components belong to no region.

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
    ) -> None:
        super().__init__(split)
        check_signs(normal_signs)
        self.signs = normal_signs
        self.min_area = min_area
        content = _CONTENTS[copy]
        self.classes = content.classes
        self.kinds = tuple(content.maps)
        whole = tree(root)
        check_level(whole, ("train", "val"))
        top = whole / split
        _check_copy(top, copy)
        folders = {"image": top / "image", "semantic": _label_folder(top, content)}
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
        self.download = ((f"{split}/", f"{len(self.names)} of {content.images[split]} images"),)

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


def _label_folder(top: ReadablePath, content: _Content) -> ReadablePath:
    """The folder of the labels of a copy."""
    places = [top / name for name in content.labels]
    return next((place for place in places if place.is_dir()), places[-1])


def _check_copy(top: ReadablePath, copy: Copy) -> None:
    """Raises a DataError if a folder holds the copy of the other data set, or the data set itself."""
    if not (top / "image").is_dir():
        return
    has_normals = (top / "normal").is_dir()
    if has_normals and copy != "nyuv2":
        raise DataError(f"expected {copy} in {top}, found normals, which only NYUv2 has: set copy to nyuv2")
    if not has_normals and copy == "nyuv2":
        raise DataError(
            f"expected {copy} in {top}, found no folder normal: unpack all of nyuv2.zip, or set copy to "
            "cityscapes7 or cityscapes19"
        )


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
