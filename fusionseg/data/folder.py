"""Your own images: a folder of photos, a folder of label maps, and a file that names the classes."""

import hashlib
from pathlib import Path
from typing import Any

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
from fusionseg.sample import VOID, Classes
from fusionseg.visualize import color

LAYOUT = """    images/<name>.{jpg,png,tif,bmp,webp,npy}
    semantic/<name>.png        class ids
    regions/<name>.png         region ids from 1, 0 = unlabelled (one of the two label folders may be missing)
    classes.yaml               classes: [{name: cell, color: [220, 20, 60], thing: true}, ...]
                               void: 255, region: one nucleus, channels: 3 (these three are optional)
    {train,val,test}.txt       names without suffix, one in a line (optional)"""


class Folder(SegmentationDataset):
    """Images with class ids, region ids or both, one PNG file for each image.

    Without `regions/` a region is a connected component of a class; without `semantic/` all classes are void. The split
    is that of the lists `train.txt`, `val.txt`, `test.txt` where there are any, else drawn from the names' hashes.
    Images of 4 channels are RGBA files, those of any other number above 3 arrays (H, W, C) of uint8 in `.npy` files.

    Args:
        split: Which images.
        root: The folder that holds `images`.
        val_fraction: Part of the images to validate on, without lists.
        test_fraction: Part of the images to test on, without lists.
        min_area: Smallest region in pixels, where regions are connected components.
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
        self.root, self.min_area = Path(root), min_area
        check_layout([self.root / "images", self.root / "classes.yaml"], LAYOUT)
        self.classes, self.void, self.channels = _declared(self.root / "classes.yaml")
        self.photos = by_stem(self.root / "images", (*PHOTO_SUFFIXES, ".npy"))
        self.has_semantic, self.has_regions = (
            (self.root / part).is_dir() for part in ("semantic", "regions")
        )
        if not (self.has_semantic or self.has_regions):
            check_layout([self.root / "semantic", self.root / "regions"], LAYOUT)
        for part in [*["semantic"] * self.has_semantic, *["regions"] * self.has_regions]:
            check_matched(self.photos, by_stem(self.root / part, (".png",)), self.root / part)
        splits = _listed(self.root, set(self.photos)) or _drawn(
            list(self.photos), val_fraction, test_fraction
        )
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
        photo, labels = self.photos[self.names[index]], self.labels(index)
        image = _read(photo, self.channels)
        check_size(
            labels.semantic, image, self._file("semantic" if self.has_semantic else "regions", index), photo
        )
        return Pixels(image, *labels)

    @override
    def labels(self, index: int) -> Labels:
        if not self.has_semantic:
            region = region_map(self._file("regions", index))
            return Labels(np.full(region.shape, VOID, np.uint8), region)
        semantic = class_map(self._file("semantic", index), len(self.classes), self.void)
        if not self.has_regions:
            return Labels(semantic, components(semantic, self.min_area))
        region = region_map(self._file("regions", index))
        if region.shape != semantic.shape:
            found = f"{region.shape} in {self._file('regions', index)}, {semantic.shape} in {self._file('semantic', index)}"
            raise DataError(f"expected label maps of one size, found {found}")
        return Labels(semantic, region)

    @override
    def sources(self) -> list[object]:
        parts = [
            part for part, there in (("semantic", self.has_semantic), ("regions", self.has_regions)) if there
        ]
        labels = [self._file(part, index) for index in range(len(self)) for part in parts]
        return [
            self.min_area,
            self.root / "classes.yaml",
            *(self.photos[name] for name in self.names),
            *labels,
        ]

    def _file(self, part: str, index: int) -> Path:
        return self.root / part / f"{self.names[index]}.png"


def _declared(path: Path) -> tuple[Classes, int, int]:
    """The classes, the void id of the label files, and the channels of the images."""
    try:
        content = yaml.safe_load(path.read_text())
        entries = content["classes"]
        classes = Classes(
            names=tuple(str(entry["name"]) for entry in entries),
            colors=tuple(_color(entry.get("color") or color(i)) for i, entry in enumerate(entries)),
            things=tuple(i for i, entry in enumerate(entries) if entry.get("thing", False)),
            region=content.get("region", "an area with an id of its own"),
        )
        void, channels = int(content.get("void", VOID)), int(content.get("channels", 3))
    except (
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        ValueError,
        RecursionError,
    ) as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DataError(
            f"expected classes as below, found something else in {path} ({told})\n{LAYOUT}"
        ) from error
    if not len(classes) <= void <= 255:
        raise DataError(
            f"expected a void id in {len(classes)}..255, after those of the classes, found {void} in {path}"
        )
    if channels < 3:
        raise DataError(
            f"expected at least 3 channels (grey photos are read as RGB), found {channels} in {path}"
        )
    return classes, void, channels


def _color(values: Any) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"expected a color of three values in 0..255, found {values}")
    return red, green, blue


def _listed(root: Path, known: set[str]) -> dict[str, list[str]]:
    """The splits that the lists give, none if there is no list."""
    lists: dict[str, Path] = {
        s: root / f"{s}.txt" for s in SegmentationDataset.splits if (root / f"{s}.txt").is_file()
    }
    splits = {split: names_in(path) for split, path in lists.items()}
    owners: dict[str, str] = {}
    for split, names in splits.items():
        if strange := [name for name in names if name not in known]:
            raise DataError(
                f"expected names of files in images/ without suffix in {lists[split]}, found {some(strange)}"
            )
        for name in names:
            if name in owners:
                raise DataError(
                    f"expected every image in one list once, found {name} in {owners[name]}.txt and {split}.txt"
                )
            owners[name] = split
    return splits


def _drawn(names: list[str], val_fraction: float, test_fraction: float) -> dict[str, list[str]]:
    """Splits of about the given sizes, from the hashes of the names."""
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
    """An image (H, W, C), RGB first."""
    if channels == 3 and path.suffix != ".npy":
        return read_image(path)
    with path.open("rb") as file, decoding(path):
        image: npt.NDArray[Any] = (
            np.load(file, allow_pickle=False) if path.suffix == ".npy" else np.array(Image.open(file))
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
        found = f"{image.dtype} {image.shape} in {path}"
        raise DataError(f"expected uint8 (H, W, {channels}), found {found}: mind `channels` in classes.yaml")
    return image
