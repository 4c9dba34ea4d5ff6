"""Datasets of your own: a folder of images, folders of label maps, and a file that declares the classes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.data.components import components
from fusionseg.data.layout import (
    PHOTO_SUFFIXES,
    by_stem,
    check_layout,
    check_matched,
    check_size,
    class_map,
    names_in,
    region_map,
    some,
)
from fusionseg.files.images import decoding, read_image
from fusionseg.sample import VOID, Array, Classes
from fusionseg.visualize import color

LAYOUT = """    images/<name>.{jpg,png,tif,bmp,webp,npy}
    semantic/<name>.png        class ids
    regions/<name>.png         region ids from 1, 0 = unlabelled (one of the two label folders may be missing)
    classes.yaml               classes: [{name: cell, color: [220, 20, 60], thing: true}, ...]
                               void: 255, region: one nucleus, channels: 3 (these three are optional)
    {train,val,test}.txt       names without suffix, one in a line (optional)"""


class Folder(SegmentationDataset):
    """Images with class ids, region ids or both, one PNG file for each image.

    Without `regions/` a region is a connected component of a class; without `semantic/` every pixel's class
    is void. The splits are given by the lists `train.txt`, `val.txt`, `test.txt` where there are any, else by
    the names' hashes. Images of 4 channels are RGBA files, those of any other number above 3 arrays (H, W, C)
    of uint8 in `.npy` files.

    Args:
        split: Which images.
        root: The folder that holds `images`.
        val_fraction: Part of the images to validate on, without lists.
        test_fraction: Part of the images to test on, without lists.
        min_area: Smallest region in pixels, where regions are connected components.

    Raises:
        DataError: Files are missing or do not match, or `classes.yaml` has another content.
        ValueError: The fractions leave no images to train on.
    """

    def __init__(
        self,
        split: Split,
        root: str | Path,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        min_area: int = 1,
    ) -> None:
        super().__init__(split)
        self.root = Path(root)
        self.min_area = min_area
        check_layout([self.root / "images", self.root / "classes.yaml"], LAYOUT)
        self.classes, self.void, self.channels = _declared(self.root / "classes.yaml")
        self.photos = by_stem(self.root / "images", (*PHOTO_SUFFIXES, ".npy"))
        self.label_folders = [part for part in ("semantic", "regions") if (self.root / part).is_dir()]
        if not self.label_folders:
            check_layout([self.root / "semantic", self.root / "regions"], LAYOUT)
        for part in self.label_folders:
            check_matched(self.photos, by_stem(self.root / part, (".png",)), self.root / part)
        splits = _listed_splits(self.root, set(self.photos))
        if not splits:
            splits = _drawn_splits(list(self.photos), val_fraction, test_fraction)
        self.names = splits.get(split, [])
        if not self.names:
            raise DataError(
                f"no images to {split} on in {self.root}: write {split}.txt or set {split}_fraction above 0"
            )

    def __len__(self) -> int:
        return len(self.names)

    @override
    def name(self, index: int) -> str:
        return self.names[index]

    @override
    def read(self, index: int) -> Pixels:
        photo = self.photos[self.names[index]]
        labels = self.labels(index)
        image = _read(photo, self.channels)
        check_size(labels.semantic, image, self._file(self.label_folders[0], index), photo)
        return Pixels(image, *labels)

    @override
    def labels(self, index: int) -> Labels:
        semantic_file = self._file("semantic", index)
        region_file = self._file("regions", index)
        if "semantic" not in self.label_folders:
            region = region_map(region_file)
            return Labels(np.full(region.shape, VOID, np.uint8), region)
        semantic = class_map(semantic_file, len(self.classes), self.void)
        if "regions" not in self.label_folders:
            return Labels(semantic, components(semantic, self.min_area))
        region = region_map(region_file)
        if region.shape != semantic.shape:
            found = f"{region.shape} in {region_file}, {semantic.shape} in {semantic_file}"
            raise DataError(f"expected label maps of one size, found {found}")
        return Labels(semantic, region)

    @override
    def sources(self) -> list[object]:
        photos = [self.photos[name] for name in self.names]
        labels = [self._file(part, index) for index in range(len(self)) for part in self.label_folders]
        return [self.min_area, self.root / "classes.yaml", *photos, *labels]

    def _file(self, part: str, index: int) -> Path:
        """The label file of an image in one of the label folders."""
        return self.root / part / f"{self.names[index]}.png"


def _declared(path: Path) -> tuple[Classes, int, int]:
    """The content of `classes.yaml`: the classes, the void id of the label files, the channels of images."""
    try:
        content = yaml.safe_load(path.read_text())
        entries = content["classes"]
        classes = Classes(
            names=tuple(str(entry["name"]) for entry in entries),
            colors=tuple(_color(entry.get("color") or color(i)) for i, entry in enumerate(entries)),
            things=tuple(i for i, entry in enumerate(entries) if entry.get("thing", False)),
            region=content.get("region", "an area with an id of its own"),
        )
        void = int(content.get("void", VOID))
        channels = int(content.get("channels", 3))
    except (
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        ValueError,
        RecursionError,
    ) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DataError(
            f"expected classes as below, found something else in {path} ({reason})\n{LAYOUT}"
        ) from error
    if not len(classes) <= void <= 255:
        raise DataError(
            f"expected a void id in {len(classes)}..255, after those of the classes, found {void} in {path}"
        )
    if channels < 3:
        raise DataError(
            f"expected at least 3 channels (gray photos are read as RGB), found {channels} in {path}"
        )
    return classes, void, channels


def _color(values: Iterable[int]) -> tuple[int, int, int]:
    """A color of `classes.yaml`, checked."""
    red, green, blue = (int(value) for value in values)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"expected a color of three values in 0..255, found {values}")
    return red, green, blue


def _listed_splits(root: Path, known: set[str]) -> dict[str, list[str]]:
    """The names of the images of each split that has a list.

    Raises:
        DataError: A list has an unknown name, or a name is in two lists or in one twice.
    """
    lists: dict[str, Path] = {split: root / f"{split}.txt" for split in SegmentationDataset.splits}
    splits = {split: names_in(path) for split, path in lists.items() if path.is_file()}
    owners: dict[str, str] = {}
    for split, names in splits.items():
        if strange := [name for name in names if name not in known]:
            raise DataError(
                f"expected names of files in images/ without suffix in {lists[split]}, found {some(strange)}"
            )
        for name in names:
            if name in owners:
                raise DataError(
                    f"expected every image in one list once, found {name} in {owners[name]}.txt and "
                    f"{split}.txt"
                )
            owners[name] = split
    return splits


def _drawn_splits(names: list[str], val_fraction: float, test_fraction: float) -> dict[str, list[str]]:
    """The names of the images of each split, of the given fractions, drawn by the hashes of the names."""
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise ValueError(
            f"expected fractions that leave images to train on, found {val_fraction} + {test_fraction}"
        )
    ranking = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    tests = round(test_fraction * len(names))
    end = tests + round(val_fraction * len(names))
    parts = {"test": ranking[:tests], "val": ranking[tests:end], "train": ranking[end:]}
    return {split: sorted(part) for split, part in parts.items()}


def _read(path: Path, channels: int) -> npt.NDArray[np.uint8]:
    """The image (H, W, C) of a photo or an array file, RGB first."""
    if channels == 3 and path.suffix != ".npy":
        return read_image(path)
    with path.open("rb") as file, decoding(path):
        image: Array = (
            np.load(file, allow_pickle=False) if path.suffix == ".npy" else np.array(Image.open(file))
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
        found = f"{image.dtype} {image.shape} in {path}"
        raise DataError(f"expected uint8 (H, W, {channels}), found {found}: mind `channels` in classes.yaml")
    return image
