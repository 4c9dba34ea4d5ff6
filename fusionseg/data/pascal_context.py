"""PASCAL-Context: photos of VOC 2010 in which every pixel is labeled, in 59 classes."""

from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import UNVERIFIED, DataError, Labels, Split
from fusionseg.data.components import REGION, components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import files_of, top_of
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, names_in
from fusionseg.data.voc_classes import VOC_CLASSES, voc_color
from fusionseg.files.archives import tree
from fusionseg.files.images import read_labels
from fusionseg.files.matlab_maps import matlab_map
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes

VOC = "VOCtrainval_03-May-2010.tar"
CONTEXT = "trainval.tar.gz"
LAYOUT = f"""    VOCdevkit/VOC2010/JPEGImages/<id>.jpg                       ({VOC}, host.robots.ox.ac.uk)
    VOCdevkit/VOC2010/ImageSets/Main/{{train,val}}.txt            or those in ImageSets/SegmentationContext
    trainval/<id>.mat                                           LabelMap of ids 0..459 ({CONTEXT})
    labels.txt                                                  "1: accordion" ...
    or, in place of the last two, the PNGs that MMSegmentation makes of them:
    VOCdevkit/VOC2010/SegmentationClassContext/<id>.png         0 void, 1..59 by the alphabet"""

_FIVE_TASKS = ("human_parts", "normals_distill")
_COPY = "that is a copy for five tasks (PASCAL_MT or PASCALContext.tar.gz) with other classes"
COPIES = {f"{folder}/{part}": _COPY for folder in ("PASCAL_MT", "PASCALContext") for part in _FIVE_TASKS} | {
    f"{folder}VOC{year}": f"that is VOC {year}, whose lists are others"
    for folder in ("", "VOCdevkit/")
    for year in (2007, 2008, 2009, 2011, 2012)
}

_PHOTOS = {"train": 4998, "val": 5105}

Order: TypeAlias = Literal["fcn", "alphabetical"]

_FURTHER = (
    *("bag", "bed", "bench", "book", "building", "cabinet", "ceiling", "clothes", "computer", "cup", "door"),
    *("fence", "floor", "flower", "food", "grass", "ground", "keyboard", "light", "mountain", "mouse"),
    *("curtain", "platform", "sign", "plate", "road", "rock", "shelves", "sidewalk", "sky", "snow"),
    *("bedcloth", "track", "tree", "truck", "wall", "water", "window", "wood"),
)
_NAMES = (*VOC_CLASSES, *_FURTHER)
"""The 59 classes as FCN orders them."""

_SPELLED = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
"""Classes that are spelled otherwise in the list of all 459."""

_ALPHABETICAL = tuple(sorted(_NAMES, key=lambda name: _SPELLED.get(name, name)))
"""The same in the order of the list of all 459, which is that of the ids in PNGs."""


class PascalContext(FileDataset):
    """PASCAL-Context in its 59 most frequent classes: 4,998 / 5,105 photos of VOC 2010.

    A region is a 4-connected component of a class, as no official file has instances of all classes; so no
    class is one of things. What is of none of the 59 classes is void. (Papers with 60 classes count it as
    background.) The classes stand in one of the two orders that are in use, whichever the files have: that of
    FCN (Long et al., CVPR 2015), VOC's 20 classes before 39 others, or by the alphabet, as the Detail API and
    the files of MMSegmentation number them. Predictions of a network that was trained in the one order mean
    other classes in the other.

    Labels are either the official MATLAB files, whose 459 ids `labels.txt` names, or the PNGs that
    MMSegmentation's converter makes of them. Colors are those of VOC's palette in the order of FCN.

    Download: https://www.cs.stanford.edu/~roozbeh/pascal-context, the files trainval.tar.gz and labels.txt;
    the photos and lists from http://host.robots.ox.ac.uk/pascal/VOC/voc2010, VOCtrainval_03-May-2010.tar.
    License: the photos are under Flickr's terms of use; the authors ask to be cited (Mottaghi et al., CVPR
    2014).

    Args:
        split: Which photos; the official split.
        root: The folder that holds `VOCdevkit`, `trainval` and `labels.txt`, or the archives of the download.
        order: The order of the classes.
        min_area: Smallest region in pixels.

    Raises:
        DataError: Files are missing.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    verified = UNVERIFIED

    def __init__(self, split: Split, root: str | Path, order: Order = "fcn", min_area: int = 50) -> None:
        super().__init__(split)
        self.min_area = min_area
        names = _NAMES if order == "fcn" else _ALPHABETICAL
        self.classes = Classes(names, tuple(voc_color(_NAMES.index(name) + 1) for name in names), (), REGION)
        top = tree(root, (VOC, CONTEXT))
        _check_copy(top)
        voc = top_of(top, ("VOCdevkit/VOC2010", "VOC2010", ""), "JPEGImages", VOC, LAYOUT, COPIES)
        list_file = _list_file(voc, split)
        self.names = names_in(list_file)
        photos = files_of(self.names, voc / "JPEGImages", {".jpg"}, list_file, VOC)
        pngs = voc / "SegmentationClassContext"
        if pngs.is_dir():
            labels = files_of(self.names, pngs, {".png"}, list_file, "the converted PNGs")
            self.table = _table({name: i for i, name in enumerate(_ALPHABETICAL, 1)}, names)
            source = "SegmentationClassContext (PNGs of MMSegmentation's converter)"
        else:
            maps = top / "trainval"
            listed = [folder / "labels.txt" for folder in (top, maps)]
            known = listed[1] if listed[1].exists() else listed[0]
            check_layout([maps, known], LAYOUT)
            labels = files_of(self.names, maps, {".mat"}, list_file, CONTEXT)
            self.table = _table(_ids(known), names)
            source = CONTEXT
        self.photos = dict(zip(self.names, photos, strict=True))
        self.label_files = dict(zip(self.names, labels, strict=True))
        found = {VOC: ("photos", self.photos), source: ("label files", self.label_files)}
        self.download = tuple(
            DownloadPart(file, f"{what} of {split}", len(files), _PHOTOS[split])
            for file, (what, files) in found.items()
        )

    @override
    def labels(self, index: int) -> Labels:
        path = self.label_file(index)
        try:
            ids = matlab_map(path, "LabelMap") if path.suffix == ".mat" else read_labels(path)
        except UserError as error:
            raise DataError(f"{error} (the official one is in {CONTEXT})") from error
        if ids.min() < 0 or ids.max() >= len(self.table):
            raise DataError(
                f"expected ids 0..{len(self.table) - 1} in {path}, found {ids.min()}..{ids.max()}: labels of "
                f"other classes, or with 255 for void, are not those of {CONTEXT}"
            )
        semantic = self.table.take(ids)
        return Labels(semantic, components(semantic, self.min_area))

    @override
    def sources(self) -> list[object]:
        return [self.min_area, self.table.tobytes(), *self.photos.values(), *self.label_files.values()]


def _check_copy(top: ReadablePath) -> None:
    """Raises a DataError if the folder is a copy for five tasks itself, which has VOC's photos too."""
    if found := [part for part in _FIVE_TASKS if (top / part).exists()]:
        raise DataError(f"expected {VOC} and {CONTEXT} in {top}, found {found[0]}: {_COPY}")


def _list_file(voc: ReadablePath, split: Split) -> ReadablePath:
    """The list of a split; VOC's own lists of all photos have as many names as those of the converter.

    Raises:
        DataError: There is none.
    """
    lists = [voc / "ImageSets" / kind / f"{split}.txt" for kind in ("SegmentationContext", "Main")]
    found = next((path for path in lists if path.exists()), lists[1])
    check_layout([found], LAYOUT)
    return found


def _ids(path: ReadablePath) -> dict[str, int]:
    """The id of each of the 459 names in `labels.txt`.

    Raises:
        DataError: The file has another content.
    """
    lines = [line.partition(":") for line in names_in(path)]
    if wrong := ["".join(line) for line in lines if not line[0].strip().isdecimal() or not line[2].strip()]:
        raise DataError(f"expected lines such as '1: accordion' in {path}, found {wrong[0]!r}")
    return {name.strip(): int(number) for number, _, name in lines}


def _table(ids: dict[str, int], names: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """The class id of each id in the files.

    Args:
        ids: The ids by the names of the classes, in either spelling.
        names: The classes in the wanted order.

    Raises:
        DataError: A class has no id.
    """
    spelled = [name if name in ids else _SPELLED.get(name, name) for name in names]
    if missing := [name for name in spelled if name not in ids]:
        raise DataError(f"expected all of the 59 classes in labels.txt, found no {', '.join(missing)}")
    table = np.full(max(ids.values()) + 1, VOID, np.uint8)
    table[[ids[name] for name in spelled]] = np.arange(len(names))
    return table
