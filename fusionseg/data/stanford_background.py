"""The Stanford Background Dataset: outdoor photos with classes and, apart from them, regions."""

import io
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import UNVERIFIED, DataError, Labels, Split
from fusionseg.data.components import components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.folds import INCOMPLETE, dealt
from fusionseg.data.layout import check_layout, check_matched
from fusionseg.files.archives import tree
from fusionseg.files.matching import by_stem, stem
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes, IntMap

LAYOUT = """    images/<7 digits>.jpg
    labels/<7 digits>.regions.txt    class ids 0..7, one row of pixels in a line; below 0 unknown
    labels/<7 digits>.layers.txt     ids of regions, likewise
    labels/<7 digits>.surfaces.txt   geometric classes 0..2, only for semantic: surfaces
    (iccv09Data.tar.gz, folder iccv09Data)"""

FOLDER = "iccv09Data"
ARCHIVES = (f"{FOLDER}.tar.gz",)
"""The official download, and the folder in it."""

Kind: TypeAlias = Literal["regions", "surfaces"]
"""The files that classes are read from, by what is before their suffix."""

_REGION = "a distinct region of the photo (layers.txt), drawn apart from the classes"

_CLASSES: dict[Kind, Classes] = {
    "regions": Classes(
        names=("sky", "tree", "road", "grass", "water", "building", "mountain", "foreground object"),
        colors=(
            *((120, 170, 220), (40, 110, 40), (110, 100, 120), (140, 190, 80)),
            *((30, 80, 190), (170, 90, 60), (130, 110, 80), (230, 190, 30)),
        ),
        things=(7,),
        region=_REGION,
    ),
    "surfaces": Classes(
        names=("sky", "horizontal", "vertical"),
        colors=((120, 170, 220), (130, 150, 80), (170, 90, 60)),
        region=_REGION,
    ),
}


class StanfordBackground(FileDataset):
    """The Stanford Background Dataset in its official layout: 715 outdoor photos of about 320 x 240 pixels.

    It has both labels of the same photo: 8 classes, and a partition into regions that knows no classes
    (Gould, Fulton and Koller, ICCV 2009). A region is what has one id in `layers.txt`, in however many parts;
    with `connected` each part is a region of its own, as in the superpixel benchmark of Stutz et al. A
    negative id is void, in all of its files. That it is so in `layers.txt` is taken from the other files.
    Colors are our own, as the download has none.

    There is no official split, and papers report the mean of five folds. Here the photos are dealt into five
    folds of equal size, in an order that follows from their names: one fold is the test split, the next one
    the validation split, and the other three are trained on.

    Download: http://dags.stanford.edu/projects/scenedataset.html, the file iccv09Data.tar.gz. License: its
    README states none and asks to cite the paper. The photos are of LabelMe, MSRC, PASCAL VOC and Geometric
    Context.

    Args:
        split: Which photos.
        root: The folder that holds `images` and `labels`, or `iccv09Data`, or iccv09Data.tar.gz.
        fold: The fold of the test split, in 0..4.
        semantic: Whether the classes are those of what is seen (`regions`) or how its surface lies
            (`surfaces`: sky, horizontal, vertical).
        connected: Whether each connected part of a region is a region of its own.

    Raises:
        DataError: Files are missing, photos and label files do not match, or there are too few.
        ValueError: There is no such fold.
    """

    verified = UNVERIFIED

    def __init__(
        self,
        split: Split,
        root: str | Path,
        fold: int = 0,
        semantic: Kind = "regions",
        connected: bool = False,
    ) -> None:
        super().__init__(split)
        top = tree(root, ARCHIVES)
        top = top / FOLDER if (top / FOLDER).is_dir() else top
        photos = top / "images"
        labels = top / "labels"
        check_layout([photos, labels], LAYOUT)
        self.semantic: Kind = semantic
        self.connected = connected
        self.classes = _CLASSES[semantic]
        self.photos = by_stem(photos, photo_suffixes())
        texts = by_stem(labels, (".txt",))
        self.label_files = _of_kind(texts, semantic)
        self.region_files = _of_kind(texts, "layers")
        for files in (self.label_files, self.region_files):
            check_matched(self.photos, files, labels, photos)
        self.names = dealt(self.photos, split, fold, photos)
        what = "photos with classes and regions"
        self.download = (DownloadPart(ARCHIVES[0], what, len(self.photos), 715, INCOMPLETE),)

    @override
    def labels(self, index: int) -> Labels:
        name = self.names[index]
        class_file = self.label_files[name]
        region_file = self.region_files[name]
        semantic = _class_ids(_grid(class_file), len(self.classes), class_file)
        region = _region_ids(_grid(region_file))
        if region.shape != semantic.shape:
            found = f"{semantic.shape} in {class_file}, {region.shape} in {region_file}"
            raise DataError(f"expected labels of one size, found {found}")
        return Labels(semantic, _parts(region) if self.connected else region)

    @override
    def sources(self) -> list[object]:
        files = [self.photos, self.label_files, self.region_files]
        return [self.semantic, self.connected, *(found[name] for found in files for name in self.names)]


def _of_kind(texts: dict[str, ReadablePath], kind: str) -> dict[str, ReadablePath]:
    """The label files of a kind, such as `0000051.layers.txt`, by the names of their photos."""
    return {stem(name): path for name, path in texts.items() if path.stem.endswith(f".{kind}")}


def _grid(path: ReadablePath) -> IntMap:
    """The integers (H, W) of a text file, a row in a line.

    Raises:
        DataError: The file holds something else.
    """
    text = path.read_bytes()
    try:
        if not text.strip():
            raise ValueError("an empty file")
        grid: IntMap = np.loadtxt(io.BytesIO(text), np.int64, ndmin=2)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"expected integers, a row of pixels in each line of {path}, found {reason}: download it again"
        ) from error
    return grid


def _class_ids(grid: IntMap, number: int, path: ReadablePath) -> npt.NDArray[np.uint8]:
    """The class ids (H, W), `VOID` where they are negative.

    Raises:
        DataError: An id is of no class.
    """
    if grid.max() >= number:
        raise DataError(f"expected class ids 0..{number - 1}, or below 0, found {grid.max()} in {path}")
    return np.where(grid < 0, VOID, grid).astype(np.uint8)


def _region_ids(grid: IntMap) -> npt.NDArray[np.uint16]:
    """The ids (H, W) numbered from 1 in their order, 0 where they are negative."""
    ids, index = np.unique(grid, return_inverse=True)
    numbers = (ids >= 0).cumsum()
    return numbers[index].reshape(grid.shape).astype(np.uint16)


def _parts(region: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """The connected parts of regions (H, W), numbered from 1; 0 stays 0."""
    ids = region.astype(np.int32)
    ids[region >= VOID] += 1
    ids[region == 0] = VOID
    return components(ids)
