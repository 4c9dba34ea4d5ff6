"""The files of Cityscapes: where they are in the official layout, and what is wrong with those of copies."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fusionseg.data.base import DataError, Split
from fusionseg.data.downloads import check_level
from fusionseg.files.archives import tree
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import IntMap

LAYOUT = """    leftImg8bit/{train,val}/<city>/<city>_<sequence>_<frame>_leftImg8bit.png     \
(leftImg8bit_trainvaltest.zip)
    gtFine/{train,val}/<city>/<city>_<sequence>_<frame>_gtFine_instanceIds.png   (gtFine_trainvaltest.zip)
    disparity/{train,val}/<city>/<city>_<sequence>_<frame>_disparity.png         \
(disparity_trainvaltest.zip, for disparity)"""

IMAGES = {"train": 2975, "val": 500}
"""The number of images of each split."""


class Part(NamedTuple):
    """A part of the download: its folder, how its files' names end, the archive and what is in it."""

    folder: str
    ending: str
    archive: str
    what: str


PHOTOS = Part("leftImg8bit", "_leftImg8bit", "leftImg8bit_trainvaltest.zip", "photos")
LABELS = Part("gtFine", "_gtFine_instanceIds", "gtFine_trainvaltest.zip", "label files")
DISPARITY = Part("disparity", "_disparity", "disparity_trainvaltest.zip", "disparity maps")


def official_top(root: str | Path, parts: Iterable[Part]) -> ReadablePath:
    """The folder of the layout, or the union of the archives of some parts in it.

    Raises:
        DataError: The folder is at another level of the layout, or holds the copy in arrays.
    """
    top = tree(root, [part.archive for part in parts])
    check_level(top, (PHOTOS.folder, LABELS.folder))
    if any((top / split / "image").is_dir() for split in IMAGES):
        raise DataError(
            f"expected {PHOTOS.folder}/ and {LABELS.folder}/ in {top}, found train/image or val/image: this "
            "is the copy in .npy arrays of MTAN and LibMTL, which data.dataset LibMTLArrays reads"
        )
    return top


def part_files(top: ReadablePath, split: Split, part: Part) -> dict[str, ReadablePath]:
    """The files of a part of a split by their names without the ending, sorted by cities.

    Raises:
        DataError: There are none.
    """
    folder = top / part.folder / split
    if not folder.is_dir():
        raise DataError(
            f"not found: {folder}, of {part.archive}; expected this layout (set root to its top folder):\n"
            f"{LAYOUT}"
        )
    found = by_stem(folder, photo_suffixes() if part is PHOTOS else LABEL_SUFFIXES)
    wanted = [path for path in found.values() if path.stem.endswith(part.ending)]
    chosen = {path.stem.removesuffix(part.ending): path for path in wanted}
    if not chosen:
        others = some(sorted({"_" + path.stem.rpartition("_")[2] for path in found.values()})) or "nothing"
        raise DataError(
            f"expected files *{part.ending}.png below {folder}, found {others}: unpack {part.archive}"
        )
    return chosen


def check_complete(files: Mapping[Part, Collection[str]]) -> None:
    """Raises a DataError unless every photo has a file of each part, and every label file a photo."""
    names = sorted({*files[PHOTOS], *files[LABELS]})
    for part, there in files.items():
        if missing := [f"{name}{part.ending}.png" for name in names if name not in there]:
            raise DataError(
                f"not found in {part.folder}/: {some(missing)}: unpack {part.archive} again, or take the "
                "other files of these frames out"
            )


def values_in(path: ReadablePath, part: Part) -> IntMap:
    """The values (H, W) of a label file.

    Raises:
        DataError: The file has colors.
    """
    try:
        return read_labels(path)
    except ValueError as error:
        if "of mode RGB" not in str(error):
            raise
        raise DataError(
            f"expected one value for each pixel in {path}, found colors, as in *_gtFine_color.png: take "
            f"*{part.ending}.png from {part.archive}"
        ) from error
