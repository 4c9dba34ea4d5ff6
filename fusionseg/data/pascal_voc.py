"""PASCAL VOC 2012: photos in which each object of 20 classes is outlined; with those of SBD to train on."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import files_of, top_of
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, class_ids, class_map, names_in, region_map
from fusionseg.data.voc_classes import VOC_CLASSES, voc_color
from fusionseg.files.archives import tree
from fusionseg.files.matlab_maps import matlab_map
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes

VOC = "VOCtrainval_11-May-2012.tar"
SBD = "benchmark.tgz"
LAYOUT = f"""    VOCdevkit/VOC2012/JPEGImages/<id>.jpg                    ({VOC}, host.robots.ox.ac.uk)
    VOCdevkit/VOC2012/SegmentationClass/<id>.png             palette indices: 0..20, 255 void
    VOCdevkit/VOC2012/SegmentationObject/<id>.png            palette indices: 0, objects from 1, 255 void
    VOCdevkit/VOC2012/ImageSets/Segmentation/{{train,val}}.txt
    benchmark_RELEASE/dataset/{{train,val}}.txt                ({SBD} of SBD, for train_aug alone)
    benchmark_RELEASE/dataset/{{img,cls,inst}}/<id>.{{jpg,mat}}"""

_CONVERTED = {
    f"{folder}{name}": "those are classes that others converted, without objects"
    for folder in ("VOCdevkit/VOC2012/", "VOC2012/", "")
    for name in ("SegmentationClassAug", "SegmentationClassRaw")
}
COPIES = _CONVERTED | {
    f"{folder}VOC{year}": f"that is VOC {year}" for folder in ("VOCdevkit/", "") for year in range(2007, 2012)
}
_VOC_PLACES = ("VOCdevkit/VOC2012", "VOC2012", "")
_SBD_PLACES = ("benchmark_RELEASE/dataset", "dataset", "")
_VOC_FOLDERS = (("JPEGImages", ".jpg"), ("SegmentationClass", ".png"), ("SegmentationObject", ".png"))
_SBD_FOLDERS = (("img", ".jpg"), ("cls", ".mat"), ("inst", ".mat"))
"""The folders of photos, classes and objects, and the suffixes of their files."""

_PHOTOS = {"train": 1464, "val": 1449, "seg11valid": 736}
"""The number of photos in each list."""

_BACKGROUND = 255
"""The region of the background. No object has this id, which is void in the files."""


class PascalVOC(FileDataset):
    """The segmentations of PASCAL VOC 2012: 1,464 / 1,449 photos, 20 classes of things and the background.

    A region is an object; the background is one region more, in however many parts, unless `background` is
    false. The outlines of objects and whole objects that are difficult to tell are void, id 255 in the files
    of both classes and objects. Colors are those of the files' palettes. The labels of the test photos are
    not public.

    The list `train_aug` is the one that most papers train on: all photos of SBD (Hariharan et al., ICCV 2011)
    and those of VOC's training list, without any of VOC's validation list: 10,582. (SBD's own training list
    has photos of VOC's validation list.) A photo of VOC's training list has VOC's labels, any other
    those of SBD, in which nothing is void. The list `seg11valid` has the 736 photos that Long et al. (CVPR
    2015) validate on; it is no part of the download and is read where you put it among VOC's lists.

    Download: http://host.robots.ox.ac.uk/pascal/VOC/voc2012, the file VOCtrainval_11-May-2012.tar; of SBD
    http://home.bharathh.info/pubs/codes/SBD/download.html, the file benchmark.tgz. License: the photos are
    under Flickr's terms of use; the organizers ask to be cited (Everingham et al., IJCV 2010).

    Args:
        split: Which photos.
        root: The folder that holds `VOCdevkit`, or the archives of the download.
        train_list: The list of photos to train on; `train_aug` needs SBD.
        val_list: The list of photos to validate on.
        sbd: The folder that holds SBD's `benchmark_RELEASE`, or its archive; by default `root`.
        background: Whether the background is a region, and not void.

    Raises:
        DataError: Files are missing.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    verified = "checked on 3 photos that others labeled in VOC's layout, and on 2 of SBD's"
    classes = Classes(
        names=("background", *VOC_CLASSES),
        colors=tuple(map(voc_color, range(21))),
        things=tuple(range(1, 21)),
        region="one object, or the background",
    )

    def __init__(
        self,
        split: Split,
        root: str | Path,
        train_list: Literal["train", "train_aug"] = "train",
        val_list: Literal["val", "seg11valid"] = "val",
        sbd: str | Path | None = None,
        background: bool = True,
    ) -> None:
        super().__init__(split)
        self.background = background
        if not background:
            self.classes = replace(self.classes, region="one object")
        is_augmented = split == "train" and train_list == "train_aug"
        top = tree(root, (VOC, SBD) if is_augmented and sbd is None else (VOC,))
        voc = top_of(top, _VOC_PLACES, "SegmentationClass", VOC, LAYOUT, COPIES)
        lists = {name: _list_file(voc, name) for name in dict.fromkeys(("train", "val", val_list))}
        names = {name: names_in(path) for name, path in lists.items()}
        name = "train" if split == "train" else val_list
        self.files = _files(names[name], lists[name], VOC, voc, _VOC_FOLDERS)
        self.download = tuple(
            DownloadPart(VOC, f"names in {one}.txt", len(listed), _PHOTOS[one])
            for one, listed in names.items()
        )
        if is_augmented:
            known = {name for listed in names.values() for name in listed}
            further = _sbd_files(top if sbd is None else tree(sbd, (SBD,)), known)
            self.files = dict(sorted({**further, **self.files}.items()))
            self.download += (DownloadPart(SBD, "further photos to train on", len(further), 9118),)
        self.names = list(self.files)
        self.photos = {name: files.photo for name, files in self.files.items()}
        self.label_files = {name: files.semantic for name, files in self.files.items()}

    @override
    def labels(self, index: int) -> Labels:
        files = self._files_of(index)
        try:
            if files.semantic.suffix == ".mat":
                ids = matlab_map(files.semantic, "GTcls", "Segmentation")
                semantic = class_ids(ids, len(self.classes), VOID, files.semantic)
                objects = matlab_map(files.region, "GTinst", "Segmentation").astype(np.uint16)
            else:
                semantic = class_map(files.semantic, self.classes, VOID)
                objects = region_map(files.region)
        except UserError as error:
            archive = SBD if files.semantic.suffix == ".mat" else f"{VOC}, of palette indices"
            raise DataError(f"{error} (the official one is in {archive})") from error
        if objects.shape != semantic.shape:
            found = f"{objects.shape} in {files.region}, {semantic.shape} in {files.semantic}"
            raise DataError(f"expected label maps of one size, found {found}")
        region = np.where((semantic == VOID) | (objects == VOID), 0, objects).astype(np.uint16)
        region[semantic == 0] = _BACKGROUND if self.background else 0
        return Labels(semantic, region)

    @override
    def sources(self) -> list[object]:
        return [self.background, *(path for files in self.files.values() for path in files)]

    def _files_of(self, index: int) -> "_Files":
        """The files of an image."""
        return self.files[self.names[index]]


class _Files(NamedTuple):
    """The photo of an image and its label files, which are PNGs of VOC or MATLAB files of SBD."""

    photo: ReadablePath
    semantic: ReadablePath
    region: ReadablePath


def _list_file(voc: ReadablePath, name: str) -> ReadablePath:
    """One of VOC's lists.

    Raises:
        DataError: It is not there.
    """
    path = voc / "ImageSets" / "Segmentation" / f"{name}.txt"
    if not path.exists():
        source = "shelhamer/fcn.berkeleyvision.org, data/pascal" if name == "seg11valid" else VOC
        raise DataError(f"not found: {path} (the file is in {source})")
    return path


def _files(
    names: Collection[str],
    list_file: ReadablePath,
    archive: str,
    top: ReadablePath,
    folders: Iterable[tuple[str, str]],
) -> dict[str, _Files]:
    """The files of photos by their names."""
    columns = [files_of(names, top / folder, {end}, list_file, archive) for folder, end in folders]
    return {name: _Files(*files) for name, files in zip(names, zip(*columns, strict=True), strict=True)}


def _sbd_files(root: ReadablePath, known: Collection[str]) -> dict[str, _Files]:
    """The files of SBD's photos but for those that are known from VOC's lists."""
    top = top_of(root, _SBD_PLACES, "inst", SBD, LAYOUT, _CONVERTED)
    lists = [top / "train.txt", top / "val.txt"]
    check_layout(lists, LAYOUT)
    names = {name for path in lists for name in names_in(path)} - set(known)
    return _files(sorted(names), lists[0], SBD, top, _SBD_FOLDERS)
