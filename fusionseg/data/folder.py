"""Datasets of your own: a folder of images, folders of label maps, and a file that declares the classes."""

from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, SegmentationDataset, Split
from fusionseg.data.components import REGION, components
from fusionseg.data.declaration import declaration
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched, class_map, names_in, region_map
from fusionseg.data.splits import drawn_splits
from fusionseg.files.archives import tree
from fusionseg.files.images import LABEL_SUFFIXES
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import photo_suffixes
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID

LAYOUT = """    images/<name>.{jpg,png,tif,...}   raster formats that Pillow decodes, or npy; also in folders
    semantic/<name>.{png,tif,npy}     class ids
    regions/<name>.{png,tif,npy}      region ids from 1, 0 = unlabelled (one label folder may be missing)
    classes.yaml                      classes: [{name: cell, color: [220, 20, 60], thing: true}, ...]
                                      optional: void: 255, region: one nucleus, background: 0, channels: 3,
                                      value_range: [0, 4095]
    {train,val,test}.txt              names without suffix, one in a line (optional)"""


class Folder(FileDataset):
    """Images with class ids, region ids or both, one file for each image, matched by relative paths.

    Without `regions/` a region is a connected component of a class; without `semantic/` every pixel's class
    is void. The splits are given by the lists `train.txt`, `val.txt`, `test.txt` where there are any. Else
    each image is drawn by the hash of its own name: it stays in its split whatever files come or go, and the
    fractions hold on average. Images of 4 channels are RGBA files, those of any other number above 3 arrays
    (H, W, C) in `.npy` files.

    `classes.yaml` may declare `background: 0`, for masks of instances in which 0 is what is no instance: that
    is then one region, except where its class is void, and without it void. It may declare a `value_range`,
    the values of images of more than 8 bits that are black and white; floats need one.

    Args:
        split: Which images.
        root: The folder that holds `images`, on disk or inside of an archive (`mine.zip`, `mine.zip/cells`).
        val_fraction: Probability of an image to be validated on, without lists.
        test_fraction: Probability of an image to be tested on, without lists.
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
        self.root = tree(root)
        self.min_area = min_area
        check_layout([self.root / "images", self.root / "classes.yaml"], LAYOUT)
        declared = declaration(self.root / "classes.yaml", LAYOUT)
        self.classes = declared.classes
        self.void = declared.void
        self.background = declared.background
        self.channels = declared.channels
        self.value_range = declared.value_range
        self.photos = by_stem(self.root / "images", photo_suffixes())
        folders = [part for part in ("semantic", "regions") if (self.root / part).is_dir()]
        if not folders:
            check_layout([self.root / "semantic", self.root / "regions"], LAYOUT)
        if "regions" not in folders:
            self.classes = replace(self.classes, region=REGION)
        self.files = {part: by_stem(self.root / part, LABEL_SUFFIXES) for part in folders}
        self.label_files = self.files[folders[0]]
        for part, files in self.files.items():
            check_matched(self.photos, files, self.root / part, self.root / "images")
        splits = _listed_splits(self.root, set(self.photos))
        if not splits:
            remedy = "change the fractions or write {split}.txt"
            splits = drawn_splits(self.root, list(self.photos), val_fraction, test_fraction, remedy)
        self.names = splits.get(split, [])
        if not self.names:
            raise DataError(
                f"no images to {split} on in {self.root}: write {split}.txt or set {split}_fraction above 0"
            )

    @override
    def labels(self, index: int) -> Labels:
        name = self.names[index]
        if "semantic" not in self.files:
            region = region_map(self.files["regions"][name], self.background)
            return Labels(np.full(region.shape, VOID, np.uint8), region)
        semantic_file = self.files["semantic"][name]
        semantic = class_map(semantic_file, self.classes, self.void)
        if "regions" not in self.files:
            return Labels(semantic, components(semantic, self.min_area))
        region_file = self.files["regions"][name]
        region = region_map(region_file, self.background)
        if region.shape != semantic.shape:
            found = f"{region.shape} in {region_file}, {semantic.shape} in {semantic_file}"
            raise DataError(f"expected label maps of one size, found {found}")
        if self.background:
            region[semantic == VOID] = 0
        return Labels(semantic, region)

    @override
    def sources(self) -> list[object]:
        photos = [self.photos[name] for name in self.names]
        labels = [files[name] for name in self.names for files in self.files.values()]
        return [self.min_area, self.root / "classes.yaml", *photos, *labels]


def _listed_splits(root: ReadablePath, known: set[str]) -> dict[str, list[str]]:
    """The names of the images of each split that has a list.

    Raises:
        DataError: A list has an unknown name, or a name is in two lists or in one twice.
    """
    lists: dict[str, ReadablePath] = {split: root / f"{split}.txt" for split in SegmentationDataset.splits}
    listed = {split: names_in(path) for split, path in lists.items() if path.is_file()}
    splits = {split: [normalize("NFC", name) for name in names] for split, names in listed.items()}
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
