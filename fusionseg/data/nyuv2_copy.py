"""The copies of NYUv2 that papers on several tasks use: a file for each image and kind of label."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import NO_MAPS, UNVERIFIED, DataError, LabelMap, Labels, Split
from fusionseg.data.components import REGION, components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import size_notices
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, class_map, names_in
from fusionseg.data.normal_axes import Signs, check_signs, normals_along
from fusionseg.data.nyu_copies import MULTI_TASK, TOOLKIT, copy_in, other_copy
from fusionseg.data.nyu_metadata import NumClasses, nyu_classes
from fusionseg.files.archives import tree
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.files.surface_maps import DEPTH_SUFFIXES, read_depth
from fusionseg.sample import VOID, Array

LAYOUT = """    images/<id>.{jpg,png}, segmentation/<id>.png (0 void, 1..40), depth/<id>.npy (meters),
    normals/<id>.{npy,png}, gt_sets/{train,val}.txt   (NYUD_MT.tgz of Vandenhende, NYUDv2.tar.gz of ATRC)
or
    {image,seg40,seg13,depth,normal}/{train,test}/<5 digits>.png   (nyuv2-python-toolkit of VainF; 255 void,
    depth in millimeters)"""

_FOLDERS = {
    MULTI_TASK: {"image": "images", "semantic": "segmentation", "depth": "depth", "normals": "normals"},
    TOOLKIT: {"image": "image", "semantic": "seg{}", "depth": "depth", "normals": "normal"},
}
"""The folder of each kind of file; `{}` stands for the number of classes."""

_SIZES = {MULTI_TASK: (425, 560), TOOLKIT: (480, 640)}
"""Height and width of the images of each copy."""

FOLDERS = ("NYUD_MT", "NYUDv2")
ARCHIVES = ("NYUD_MT.tgz", "NYUDv2.tar.gz")
"""The downloads, and the folders in them."""


class NYUv2Copy(FileDataset):
    """A copy of NYUv2 with a file for each image and kind of label; which one is told by its folders.

    NYUD_MT (Vandenhende et al.) and NYUDv2 (ATRC, InvPT) have 40 classes, depth in meters and normals, of
    images of 560 x 425 pixels; their edge maps are not read. The PNG files of nyuv2-python-toolkit (VainF)
    have 40 and 13 classes, depth in millimeters and, where its user had them, normals, of 640 x 480 pixels.
    None of them has instances, so a region is a 4-connected component of a class: the official file, read by
    `NYUv2`, has objects one by one. Classes, their colors and things are those of `NYUv2`.

    `train` are the 795 official training images, and `val` the 654 official test images, which papers report
    on, so that a best checkpoint was chosen on them: `evaluate --checkpoint last` does without.

    No copy says along which axes its normals are. They must be unit vectors with x to the right, y down and z
    away from the camera, and so z < 0; `normal_signs` turns axes around. A map most of whose normals point
    away from the camera is refused.

    Download: NYUD_MT.tgz from github.com/SimonVandenhende/Multi-Task-Learning-PyTorch, NYUDv2.tar.gz from
    github.com/brdav/atrc, or what github.com/VainF/nyuv2-python-toolkit makes of the official file.

    Args:
        split: Which images.
        root: The folder of the copy, or its archive.
        num_classes: Whether there are 40 classes or 13.
        depth: Whether there are labels `depth` (H, W) in meters.
        normals: Whether there are labels `normals` (H, W, 3), unit vectors.
        normal_signs: What x, y and z of the normals in the files are multiplied by.
        min_area: Smallest region in pixels; smaller components belong to no region.

    Raises:
        DataError: Files are missing, or it is another copy.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    verified = UNVERIFIED

    def __init__(
        self,
        split: Split,
        root: str | Path,
        num_classes: NumClasses = 40,
        depth: bool = True,
        normals: bool = False,
        normal_signs: Signs = (1, 1, 1),
        min_area: int = 1,
    ) -> None:
        super().__init__(split)
        top = tree(root, ARCHIVES)
        self.root = next((top / name for name in FOLDERS if (top / name).is_dir()), top)
        self.copy = self._recognized(num_classes)
        self.classes = nyu_classes(num_classes, REGION)
        self.kinds = ("depth",) * depth + ("normals",) * normals
        check_signs(normal_signs)
        self.signs = normal_signs
        self.min_area = min_area
        suffixes = {"image": photo_suffixes(), "semantic": LABEL_SUFFIXES, "depth": DEPTH_SUFFIXES}
        self.files = {
            kind: by_stem(self._folder(kind), suffixes.get(kind, photo_suffixes()))
            for kind in ("image", "semantic", *self.kinds)
        }
        if self.copy == MULTI_TASK:
            listed = self.root / "gt_sets" / f"{split}.txt"
            check_layout([listed], LAYOUT)
            self.names = names_in(listed)
        else:
            self.names = list(self.files["image"])
        self._check_complete()
        self.photos = self.files["image"]
        self.label_files = self.files["semantic"]
        officially = {"train": 795, "val": 654}[split]
        self.download = (DownloadPart(self.copy, f"images of {split}", len(self.names), officially),)
        self.notices = size_notices(self.photo(0), f"NYUv2, {self.copy},", _SIZES[self.copy])

    @override
    def labels(self, index: int) -> Labels:
        path = self.label_file(index)
        if self.copy == MULTI_TASK:
            semantic = _from_one(path, len(self.classes))
        else:
            semantic = class_map(path, self.classes, VOID)
        maps: dict[str, LabelMap] = {}
        if "depth" in self.kinds:
            maps["depth"] = read_depth(self._file("depth", index))
        if "normals" in self.kinds:
            maps["normals"] = normals_along(self._file("normals", index), self.signs)
        for kind, plane in maps.items():
            if plane.shape[:2] != semantic.shape:
                found = f"{semantic.shape} in {path}, {plane.shape} in {self._file(kind, index)}"
                raise DataError(f"expected label maps of one size, found {found}")
        return Labels(semantic, components(semantic, self.min_area), maps or NO_MAPS)

    @override
    def sources(self) -> list[object]:
        files = [found[name] for found in self.files.values() for name in self.names]
        return [list(self.signs), self.min_area, len(self.classes), *files]

    def _recognized(self, num_classes: NumClasses) -> str:
        """The name of the copy.

        Raises:
            DataError: It is none that is read here, or has no such classes.
        """
        copy = copy_in(self.root)
        if copy not in _FOLDERS:
            if other := other_copy(self.root):
                raise DataError(other)
            check_layout([self.root / name for name in ("gt_sets", "images", "segmentation")], LAYOUT)
        if copy == MULTI_TASK and num_classes != 40:
            raise DataError(f"expected num_classes: 40 for {self.root}, which is {copy}, found {num_classes}")
        return str(copy)

    def _folder(self, kind: str) -> ReadablePath:
        """The folder of a kind of files.

        Raises:
            DataError: There is none.
        """
        folder = self.root / _FOLDERS[self.copy][kind].format(len(self.classes))
        if self.copy == TOOLKIT:
            folder = folder / ("train" if self.split == "train" else "test")
        if not folder.is_dir():
            raise DataError(f"expected {kind} of {self.copy} in {folder}, found no such folder")
        return folder

    def _check_complete(self) -> None:
        """Raises a DataError unless there are images, and a file of each kind for each image."""
        if not self.names:
            raise DataError(f"expected images to {self.split} on in {self.root}, found none")
        for kind, files in self.files.items():
            if missing := [name for name in self.names if name not in files]:
                raise DataError(f"found no {kind} in {self._folder(kind)} for {some(missing)}")

    def _file(self, kind: str, index: int) -> ReadablePath:
        return self.files[kind][self.names[index]]


def _from_one(path: ReadablePath, number: int) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of a file that counts them from 1, `VOID` where it has 0.

    Raises:
        DataError: An id is of no class.
    """
    ids: Array = read_labels(path)
    strange = ids[(ids < 0) | (ids > number)]
    if strange.size:
        reason = " (does this copy count from 0, with 255 for void?)" if (strange == VOID).any() else ""
        raise DataError(
            f"expected class ids 1..{number}, or 0 for void, found {strange[0]} in {path}{reason}"
        )
    return np.where(ids == 0, VOID, ids - 1).astype(np.uint8)
