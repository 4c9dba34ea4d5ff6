"""COCO panoptic: photos in which every pixel belongs to a thing or to an area of stuff."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.base import DataError, Labels, Split
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.file_dataset import FileDataset
from fusionseg.data.layout import check_layout, check_matched
from fusionseg.files.archives import tree
from fusionseg.files.atomic import Json
from fusionseg.files.coco_panoptic import panoptic_file, segment_map
from fusionseg.files.images import LABEL_SUFFIXES
from fusionseg.files.matching import by_stem
from fusionseg.files.photos import photo_suffixes
from fusionseg.sample import VOID, Classes, IntMap, Truth
from fusionseg.visualize import color

LAYOUT = """    {train2017,val2017}/<12 digits>.jpg   or other names, by `file_name` in the JSON, and formats
    annotations/panoptic_{train,val}2017.json
    annotations/panoptic_{train,val}2017/<12 digits>.png   or tif, npy (cocodataset.org, \
panoptic_annotations_trainval2017.zip)"""


ARCHIVES = (
    "{}2017.zip",
    "panoptic_annotations_trainval2017.zip",
    "annotations/panoptic_{}2017.zip",
)
"""The archives of a split in the official download, the last one inside of the one before."""

_PHOTOS = {"train": 118_287, "val": 5000}
"""The number of photos of each split."""


class CocoPanoptic(FileDataset):
    """COCO panoptic in its official layout; a class is the position of its category in the JSON file.

    Regions are the segments of things and stuff, numbered as the JSON lists them. A crowd has its class and
    no region. Segment 0 is void.

    Download: https://cocodataset.org/#download, the files train2017.zip, val2017.zip and
    panoptic_annotations_trainval2017.zip with the two archives in it. License: CC BY 4.0 for the annotations;
    each photo has its own, which the JSON file names.

    Args:
        split: `train` for train2017, `val` for val2017.
        root: The folder that holds `annotations`, or the archives of the download.

    Raises:
        DataError: Files are missing or damaged, or photos and label files do not match.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")
    verified = "checked on 100 photos of each split"

    def __init__(self, split: Split, root: str | Path) -> None:
        super().__init__(split)
        self.root = tree(root, [archive.format(split) for archive in ARCHIVES])
        annotations = self.root / "annotations" / f"panoptic_{split}2017.json"
        photos = self.root / f"{split}2017"
        labels = self.root / "annotations" / f"panoptic_{split}2017"
        check_layout([annotations, photos, labels], LAYOUT)
        with _as_data_errors():
            listed = panoptic_file(annotations)
        try:
            self.classes = _classes(listed.categories)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"expected the JSON file of COCO panoptic, found {error!r} in {annotations}"
            ) from error
        self.segments = {listed.photos[image]: segments for image, segments in listed.segments.items()}
        self.photos = by_stem(photos, photo_suffixes())
        check_matched(self.photos, self.segments, photos)
        files = by_stem(labels, LABEL_SUFFIXES)
        check_matched(listed.labels.values(), files, labels)
        self.label_files = {listed.photos[image]: files[label] for image, label in listed.labels.items()}
        self.names = sorted(self.segments)
        self.annotations = annotations
        archive = ARCHIVES[0].format(split)
        self.download = (DownloadPart(archive, f"photos of {split}", len(self.names), _PHOTOS[split]),)

    @override
    def labels(self, index: int) -> Labels:
        decoded = self._decoded(index)
        return Labels(decoded.semantic, decoded.region)

    @override
    def truth(self, index: int) -> Truth:
        decoded = self._decoded(index)
        return Truth(decoded.semantic, decoded.region, decoded.crowd)

    @override
    def sources(self) -> list[object]:
        files = [self.annotations]
        for index, name in enumerate(self.names):
            files += [self.photos[name], self.label_file(index)]
        return list(files)

    def _decoded(self, index: int) -> "_Decoded":
        """The maps of classes, regions and crowds.

        Raises:
            DataError: The label file has segments that the JSON file does not list.
        """
        segments = self.segments[self.names[index]]
        with _as_data_errors():
            place = segment_map(self.label_file(index), segments)
        crowd = np.append(np.False_, segments["crowd"])
        label = np.append(np.uint8(VOID), segments["label"])
        region = np.where(crowd, 0, np.arange(len(crowd))).astype(np.uint16)
        return _Decoded(label[place], region[place], np.where(crowd, label, VOID).astype(np.uint8)[place])


class _Decoded(NamedTuple):
    """The maps (H, W) of a `Truth`: class ids, region ids, and the class ids of crowds."""

    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]
    crowd: IntMap


def _classes(categories: Sequence[Json]) -> Classes:
    """The classes that the categories of a JSON file declare.

    Raises:
        ValueError: If they cannot be classes.
    """
    return Classes(
        names=tuple(category["name"] for category in categories),
        colors=tuple(tuple(category.get("color", color(category["id"]))) for category in categories),
        things=tuple(i for i, category in enumerate(categories) if category["isthing"]),
        region="a thing or an area of stuff",
        ids=tuple(category["id"] for category in categories),
    )


@contextmanager
def _as_data_errors() -> Iterator[None]:
    """Turns errors in files into those of a dataset."""
    try:
        yield
    except UserError as error:
        raise DataError(str(error)) from error
