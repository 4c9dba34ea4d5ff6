"""What the copies of NYUv2 and Cityscapes in `.npy` arrays hold, and which of them lies in a folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from fusionseg.data.base import DataError
from fusionseg.data.cityscapes_labels import CLASSES
from fusionseg.data.components import REGION
from fusionseg.data.downloads import shown_size
from fusionseg.data.nyu_metadata import nyu_classes
from fusionseg.files.archives import tree
from fusionseg.files.image_sizes import stored_size
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Classes

Copy: TypeAlias = Literal["nyuv2", "cityscapes7", "cityscapes19"]

LAYOUT = """    {train,val}/image/<i>.npy    (H, W, 3), 0 to 1; i = 0, 1, 2 ...
    {train,val}/label/<i>.npy    (H, W), -1 for void; for Cityscapes also label_7 or label_19
    {train,val}/depth/<i>.npy    (H, W, 1), 0 where it is not known
    {train,val}/normal/<i>.npy   (H, W, 3), the zero vector where it is not known; NYUv2 alone"""


class Content(NamedTuple):
    """What a copy has.

    Args:
        classes: The classes.
        labels: The folders that may hold their labels.
        maps: The folders of further kinds of labels.
        images: The numbers of images.
        archives: The archives of the download by the height and width of the images in them.
    """

    classes: Classes
    labels: tuple[str, ...]
    maps: Mapping[str, str]
    images: Mapping[str, int]
    archives: Mapping[tuple[int, int], str]


_STREETS = {"train": 2975, "val": 500}
_SMALL, _LARGE = ((128, 256), "cityscapes2.zip"), ((256, 512), "cityscapes.zip")
CONTENTS: dict[Copy, Content] = {
    "nyuv2": Content(
        nyu_classes(13, REGION),
        ("label",),
        {"depth": "depth", "normals": "normal"},
        {"train": 795, "val": 654},
        {(288, 384): "nyuv2.zip"},
    ),
    "cityscapes7": Content(
        replace(CLASSES[7], region=REGION, ids=()),
        ("label_7", "label"),
        {"disparity": "depth"},
        _STREETS,
        dict((_SMALL, _LARGE)),
    ),
    "cityscapes19": Content(
        replace(CLASSES[19], region=REGION, ids=()),
        ("label_19", "label"),
        {"disparity": "depth"},
        _STREETS,
        dict((_LARGE, _SMALL)),
    ),
}


def top_of_copy(root: str | Path, content: Content, expected_size: tuple[int, int] | None) -> ReadablePath:
    """The folder that holds the splits: `root`, or what is in an archive of the download that lies there.

    Args:
        root: The folder that the user names, or an archive.
        content: What the copy has.
        expected_size: Height and width of the images of the archive that comes first, if any.
    """
    places = sorted(content.archives.items(), key=lambda item: item[0] != expected_size)
    archive = next((name for _, name in places if (Path(root) / name).is_file()), None)
    top = tree(root, () if archive is None else (archive,))
    inside = top / Path(archive or root).stem
    return inside if inside.is_dir() and not (top / "train").is_dir() else top


def check_expected(photo: ReadablePath, wanted: tuple[int, int], content: Content) -> None:
    """Raises a DataError if an image has another size than the wanted height and width."""
    found = stored_size(photo)
    if found not in (None, (wanted[0], wanted[1])):
        archive = content.archives.get((wanted[0], wanted[1]))
        source = f", as in {archive}" if archive else ""
        raise DataError(
            f"expected images of {shown_size(wanted)} pixels{source}, found {shown_size(found)} in {photo}: "
            "take that copy, or set expected_size to null, whose scores are not those of the protocol"
        )


def label_folder(top: ReadablePath, content: Content) -> ReadablePath:
    """The folder of the labels of a copy."""
    places = [top / name for name in content.labels]
    return next((place for place in places if place.is_dir()), places[-1])


def check_copy(top: ReadablePath, copy: Copy) -> None:
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
