"""Images of your own in a folder for each class."""

import re
from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from fusionseg.data.base import DataError, Split
from fusionseg.data.image_classes import Channels, ImageClasses
from fusionseg.data.layout import check_layout
from fusionseg.data.splits import drawn_splits
from fusionseg.files.archives import tree
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath

LAYOUT = """    {train,val,test}/<class>/<name>.{jpg,png,tif,...}   also in folders below; test may be missing
    or without splits:
    <class>/<name>.{jpg,png,tif,...}                    each image is drawn into a split by its own name"""

_SPLIT = re.compile(
    r"(?<![a-z])(train(ing|set|val)?|val(id|idation|set)?|test(ing|set)?)(?![a-z])", re.IGNORECASE
)
"""What the name of a split's folder has in it as a word."""


class ClassFolders(ImageClasses):
    """Images of one class each, in a folder that is named for it: the layout of torchvision's `ImageFolder`.

    The splits are the folders `train`, `val` and `test` where there is a folder `train`. Else each image is
    drawn by the hash of its own name: it stays in its split whatever files come or go, and the fractions hold
    on average. Classes are ordered by name, as torchvision does it. Hidden files are left out.

    Args:
        split: Which images.
        root: The folder, on disk or inside of an archive (`mine.zip`, `mine.zip/flowers`).
        channels: 3 for RGB, to which other colors are converted; 1 for gray.
        val_fraction: Probability of an image to be validated on, without folders of splits.
        test_fraction: Probability of an image to be tested on, without folders of splits.

    Raises:
        DataError: There are images beside the folders of classes, fewer than two classes, no images, or
            splits of other names.
        ValueError: The fractions leave no images to train on.
    """

    def __init__(
        self,
        split: Split,
        root: str | Path,
        channels: Channels = 3,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
    ) -> None:
        top = tree(root)
        check_layout([top], LAYOUT)
        first = top / "train"
        divided = first.is_dir()
        if divided:
            check_layout([top / split], LAYOUT)
        files = _images(first if divided else top)
        names = _classes(files)
        if not divided:
            _check_splits(files, top)
        if divided and split != "train":
            files = _images(top / split)
            if strange := [name for name in _classes(files) if name not in names]:
                raise DataError(
                    f"expected in {top / split} classes that {first} has, found {some(strange)}: name the "
                    "folders alike, or add images to train on"
                )
        chosen = list(files)
        if not divided:
            remedy = "change the fractions, or divide the images into folders {{train,val,test}}/<class>"
            chosen = drawn_splits(top, chosen, val_fraction, test_fraction, remedy)[split]
        if not chosen:
            raise DataError(f"no images to {split} on in {top}; expected this layout:\n{LAYOUT}")
        # with the split in it a name is unique in all splits
        before = f"{split}/" if divided else ""
        photos = {before + name: files[name] for name in chosen}
        self._before = before
        super().__init__(split, photos, names, "one", channels, top)

    @override
    def classes_of(self, name: str) -> list[str]:
        return [_class(name.removeprefix(self._before))]


def _images(folder: ReadablePath) -> dict[str, ReadablePath]:
    """The images in the folders of a folder, by their names in it.

    Raises:
        DataError: Some are in no folder of a class.
    """
    files = by_stem(folder, photo_suffixes())
    if loose := [path.name for name, path in files.items() if "/" not in name]:
        raise DataError(
            f"expected images in folders named for their classes, found {some(loose)} beside these in "
            f"{folder}: move each into the folder of its class"
        )
    return files


def _check_splits(files: Iterable[str], folder: ReadablePath) -> None:
    """Raises a DataError if folders of splits would be classes, as they have other names than expected.

    These are folders named as a split is, such as `Training` or `seg_test`, of further folders alone.
    """
    depths: dict[str, int] = {}
    for name in files:
        own = _class(name)
        depths[own] = min(depths.get(own, name.count("/")), name.count("/"))
    if found := [name for name, depth in depths.items() if depth > 1 and _SPLIT.search(name)]:
        raise DataError(
            f"expected splits named train, val and test in {folder}, found {some(found)}, which would be "
            "classes: rename the folders"
        )


def _class(name: str) -> str:
    """The class of an image, by its name."""
    return name.partition("/")[0]


def _classes(files: Iterable[str]) -> list[str]:
    """The classes of images, by their names."""
    return sorted({_class(name) for name in files})
