"""ADE20K in 150 classes (SceneParsing150): indoor and outdoor scenes, with instances of 100 classes."""

import csv
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.components import REGION, components
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.downloads import top_of
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched
from fusionseg.files.archives import tree
from fusionseg.files.images import read_labels
from fusionseg.files.matching import by_stem
from fusionseg.files.photos import decoding, opened
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes
from fusionseg.visualize import color

SCENES = "ADEChallengeData2016.zip"
INSTANCES = "annotations_instance.tar"
MAPPING = "ade20k_instance_catid_mapping.txt"
LAYOUT = f"""    ADEChallengeData2016/images/{{training,validation}}/<id>.jpg        ({SCENES})
    ADEChallengeData2016/annotations/{{training,validation}}/<id>.png   0 void, 1..150
    ADEChallengeData2016/objectInfo150.txt
    annotations_instance/{{training,validation}}/<id>.png               ({INSTANCES}, for instances alone)
    {MAPPING}                                 (facebookresearch/Mask2Former, datasets)"""

FULL = "that is the full ADE20K, whose classes are others"
COPIES = {
    "ADE20K_2021_17_01": FULL,
    "ADE20K_2016_07_26": FULL,
    "index_ade20k.pkl": FULL,
    "ADEChallengeData2016/annotations_detectron2": "those are for detectron2, with ids that are one less",
    "release_test": "those are the photos of the test split, without labels",
}
_FOLDERS: dict[str, str] = {"train": "training", "val": "validation"}
_PHOTOS = {"train": 20210, "val": 2000}
_CLASSES = 150


class ADE20K(FileDataset):
    """ADE20K as the scene parsing challenge distributes it: 20,210 / 2,000 photos in 150 classes.

    Without `instances` a region is a 4-connected component of a class, and no class is one of things, as
    nobody told things apart. With them a region is a thing of one of 100 classes, or all pixels of one of the
    50 classes of stuff. The instances are labels of their own, which overlap the others; both are combined
    as the preparation of Mask2Former does (Cheng et al., CVPR 2022): instances are put over the map of
    classes, whose class they replace. Pixels of things that are in no instance keep their class and belong to
    no region.

    Pixels of id 0, what is none of the classes, are void. The class names are the first ones of each line of
    `objectInfo150.txt`; colors are our own, as the download has none.

    Download: http://sceneparsing.csail.mit.edu, the file ADEChallengeData2016.zip; for the instances also
    annotations_instance.tar of ChallengeData2017 there, and the file ade20k_instance_catid_mapping.txt from
    https://github.com/facebookresearch/Mask2Former, folder `datasets`. License: research and education, by
    the terms of ADE20K (Zhou et al., CVPR 2017).

    Args:
        split: Which photos; the official split.
        root: The folder that holds `ADEChallengeData2016`, or the archives of the download.
        instances: Whether regions are instances and stuff, and not components of classes.
        min_area: Smallest region in pixels, where regions are components.

    Raises:
        DataError: Files are missing, or photos and label files do not match.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")

    def __init__(self, split: Split, root: str | Path, instances: bool = False, min_area: int = 50) -> None:
        super().__init__(split)
        self.min_area = min_area
        further = (INSTANCES, f"ADEChallengeData2016/{INSTANCES}") if instances else ()
        within = tree(root, (SCENES, *further))
        top = top_of(within, ("ADEChallengeData2016", ""), "annotations", SCENES, LAYOUT, COPIES)
        photos = top / "images" / _FOLDERS[split]
        labels = top / "annotations" / _FOLDERS[split]
        check_layout([photos, labels], LAYOUT)
        self.photos = by_stem(photos, {".jpg"})
        self.label_files = by_stem(labels, {".png"})
        check_matched(self.photos, self.label_files, labels)
        self.names = list(self.photos)
        self.mapping = _mapping(within, top) if instances else None
        self.instance_files = _instance_files(within, top, split, self.photos) if instances else {}
        self.classes = _classes(top, self.mapping)
        self.verified = "checked on 3 photos of val"
        if instances:
            self.verified += ", but with instances only on files that tests write in their encoding"
        found = {SCENES: ("photos", self.photos), INSTANCES: ("label files", self.instance_files)}
        self.download = tuple(
            DownloadPart(archive, f"{what} of {split}", len(files), _PHOTOS[split])
            for archive, (what, files) in found.items()
            if instances or archive == SCENES
        )

    @override
    def labels(self, index: int) -> Labels:
        name = self.names[index]
        semantic = _class_map(self.label_files[name])
        if self.mapping is None:
            return Labels(semantic, components(semantic, self.min_area))
        number, category = _instance_map(self.instance_files[name], self.mapping)
        if number.shape != semantic.shape:
            raise DataError(
                f"expected label maps of one size, found {number.shape} in {self.instance_files[name]}, "
                f"{semantic.shape} in {self.label_files[name]}"
            )
        inside = number > 0
        semantic[inside] = category[inside]
        stuff = np.zeros(VOID + 1, np.uint16)
        stuff[:_CLASSES] = 256 + np.arange(_CLASSES)
        stuff[list(self.classes.things)] = 0
        return Labels(semantic, np.where(inside, number, stuff[semantic]).astype(np.uint16))

    @override
    def sources(self) -> list[object]:
        mapping = None if self.mapping is None else self.mapping.tobytes()
        files = [*self.photos.values(), *self.label_files.values(), *self.instance_files.values()]
        return [self.min_area, mapping, *files]


def _classes(top: ReadablePath, mapping: npt.NDArray[np.uint8] | None) -> Classes:
    """The classes that the official table lists; those of instances are things.

    Raises:
        DataError: There is no table, or it has another content.
    """
    tables = [top / "objectInfo150.txt", top / "objectInfo150.csv"]
    path = next((path for path in tables if path.exists()), tables[0])
    check_layout([path], LAYOUT)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        # That of the challenge's repository, which has ; between all words, so that a first name has no end.
        text = text.replace(",", "\t").replace(";", " ")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    numbers = [str(row.get("Idx")).strip() for row in rows]
    if numbers != [str(i) for i in range(1, _CLASSES + 1)] or not all(row.get("Name") for row in rows):
        raise DataError(f"expected the columns Idx, 1..{_CLASSES}, and Name in {path}: take that of {SCENES}")
    return Classes(
        names=tuple(row["Name"].partition(",")[0].strip() for row in rows),
        colors=tuple(map(color, range(_CLASSES))),
        things=() if mapping is None else tuple(np.unique(mapping[mapping != VOID]).tolist()),
        region=REGION if mapping is None else "one thing, or all stuff of a class",
        ids=tuple(range(1, _CLASSES + 1)),
    )


def _mapping(root: ReadablePath, top: ReadablePath) -> npt.NDArray[np.uint8]:
    """The class id of each category of instances (256,), 255 where there is no such category.

    Raises:
        DataError: The official mapping is not there, or has another content.
    """
    path = next((path for path in (top / MAPPING, root / MAPPING) if path.exists()), root / MAPPING)
    if not path.exists():
        raise DataError(
            f"not found: {path}, which says to which class a category of instances belongs: take it from "
            "facebookresearch/Mask2Former, folder datasets"
        )
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    table = np.full(256, VOID, np.uint8)
    for line in filter(None, lines):
        numbers = [int(word) for word in line if word.isdecimal()]
        if len(numbers) != 3 or not 1 <= numbers[0] <= VOID or not 1 <= numbers[1] <= _CLASSES:
            raise DataError(
                f"expected after the first line a category, a class in 1..{_CLASSES} and an id of the full "
                f"ADE20K in each line of {path}, found {' '.join(line)!r}"
            )
        table[numbers[0]] = numbers[1] - 1
    return table


def _instance_files(
    root: ReadablePath, top: ReadablePath, split: Split, photos: dict[str, ReadablePath]
) -> dict[str, ReadablePath]:
    """The files of instances by the names of their photos.

    Raises:
        DataError: They are not there, or do not match the photos.
    """
    folders = [place / "annotations_instance" / _FOLDERS[split] for place in (top, root)]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    check_layout([folder], LAYOUT)
    files = by_stem(folder, {".png"})
    check_matched(photos, files, folder)
    return files


def _class_map(path: ReadablePath) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of a label file, 255 where it has 0.

    Raises:
        DataError: It is none of the challenge.
    """
    try:
        ids = read_labels(path)
    except UserError as error:
        raise DataError(f"{error} (the official one is in {SCENES})") from error
    if ids.min() < 0 or ids.max() > _CLASSES:
        copy = ": 255 is void in annotations_detectron2, whose ids are one less" if ids.max() == VOID else ""
        raise DataError(f"expected 0 or ids 1..{_CLASSES} in {path}, found {ids.min()}..{ids.max()}{copy}")
    return np.where(ids == 0, VOID, ids - 1).astype(np.uint8)


def _instance_map(
    path: ReadablePath, mapping: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The number of the instance (H, W), 0 where there is none, and the class id (H, W) of each pixel.

    Raises:
        DataError: The file is none of instances.
    """
    with opened(path) as image, decoding(path):
        pixels = np.array(image)
    if pixels.ndim != 3:
        raise DataError(
            f"expected a category in red and the number of the instance in green in {path}, found a file of "
            f"mode {image.mode}: take that of {INSTANCES}"
        )
    number = pixels[..., 1]
    category = mapping[pixels[..., 0]]
    inside = number > 0
    pairs = np.unique(number[inside].astype(np.uint16) * 256 + category[inside])
    if len(np.unique(pairs // 256)) < len(pairs) or (pairs % 256 == VOID).any():
        raise DataError(f"expected one category of {MAPPING} for each instance in {path}, found others")
    return number, category
