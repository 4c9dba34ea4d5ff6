"""COCO panoptic: photos in which every pixel belongs to a thing or to an area of stuff."""

import functools
import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.data.layout import check_layout, check_matched, check_size
from fusionseg.files.atomic import Json
from fusionseg.files.matching import by_stem, stem
from fusionseg.files.photos import photo_suffixes, read_image
from fusionseg.sample import VOID, Classes, IntMap, Truth
from fusionseg.visualize import color

LAYOUT = """    {train2017,val2017}/<12 digits>.jpg   or other names, by `file_name` in the JSON, and formats
    annotations/panoptic_{train,val}2017.json
    annotations/panoptic_{train,val}2017/<12 digits>.png   (cocodataset.org, \
panoptic_annotations_trainval2017.zip)"""


class CocoPanoptic(SegmentationDataset):
    """COCO panoptic in its official layout; a class is the position of its category in the JSON file.

    Regions are the segments of things and stuff, numbered as the JSON lists them. A crowd has its class and
    no region.

    Args:
        split: `train` for train2017, `val` for val2017.
        root: The folder that holds `annotations`.

    Raises:
        DataError: Files are missing or damaged, or photos and label files do not match.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val")

    def __init__(self, split: Split, root: str | Path) -> None:
        super().__init__(split)
        self.root = Path(root)
        annotations = self.root / "annotations" / f"panoptic_{split}2017.json"
        photos = self.root / f"{split}2017"
        labels = annotations.with_suffix("")
        check_layout([annotations, photos, labels], LAYOUT)
        self.index = _index(annotations, annotations.stat().st_mtime_ns)
        self.classes = self.index.classes
        self.photos = by_stem(photos, photo_suffixes())
        check_matched(self.photos, self.index.segments, photos)
        files = by_stem(labels, (".png",))
        check_matched(self.index.labels.values(), files, labels)
        self.label_files = {name: files[label] for name, label in self.index.labels.items()}
        self.names = sorted(self.index.segments)
        self.annotations = annotations

    def __len__(self) -> int:
        return len(self.names)

    @override
    def name(self, index: int) -> str:
        return self.names[index]

    @override
    def photo(self, index: int) -> Path:
        return self.photos[self.names[index]]

    @override
    def read(self, index: int) -> Pixels:
        photo = self.photo(index)
        image = read_image(photo)
        truth = self._decoded(index)
        check_size(truth.semantic, image, self._label_file(index), photo)
        return Pixels(image, truth.semantic, truth.region)

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
            files += [self.photos[name], self._label_file(index)]
        return list(files)

    def _label_file(self, index: int) -> Path:
        """The file with the segment ids of an image."""
        return self.label_files[self.names[index]]

    def _decoded(self, index: int) -> "_Decoded":
        """The maps of classes, regions and crowds; a color is the id red + 256 green + 65536 blue.

        Raises:
            DataError: The label file has segments that the JSON file does not list.
        """
        path = self._label_file(index)
        segments = self.index.segments[self.names[index]]
        known = np.append(np.uint32(0), segments["id"])
        order = np.argsort(known)
        red, green, blue = (plane.astype(np.uint32) for plane in np.moveaxis(read_image(path), 2, 0))
        ids = red + 256 * green + 65536 * blue
        place = order[np.searchsorted(known, ids, sorter=order).clip(max=len(known) - 1)]
        if (strange := known[place] != ids).any():
            found = np.unique(ids[strange])[:5].tolist()
            raise DataError(f"expected the segment ids that the JSON file lists, found {found} in {path}")
        crowd = np.append(np.False_, segments["crowd"])
        label = np.append(np.uint8(VOID), segments["label"])
        region = np.where(crowd, 0, np.arange(len(known))).astype(np.uint16)
        return _Decoded(label[place], region[place], np.where(crowd, label, VOID).astype(np.uint8)[place])


class _Decoded(NamedTuple):
    """The maps (H, W) of a `Truth`: class ids, region ids, and the class ids of crowds."""

    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]
    crowd: IntMap


class _Index(NamedTuple):
    """The content of the JSON file.

    Attributes:
        classes: The classes.
        segments: For each image's name the ids, classes and crowds of segments.
        labels: For each image's name that of its label file.
    """

    classes: Classes
    segments: dict[str, npt.NDArray[np.void]]
    labels: dict[str, str]


_SEGMENT = np.dtype([("id", np.uint32), ("label", np.uint8), ("crowd", np.bool_)])


@functools.lru_cache(maxsize=4)
def _index(path: Path, modified: int) -> _Index:
    """Parses a JSON file of half a gigabyte, once in a process.

    Args:
        path: The JSON file.
        modified: Its modification time, so that a changed file is parsed again.

    Raises:
        DataError: The file has another content.
    """
    try:
        content = json.loads(path.read_bytes())
        categories = sorted(
            _with(content["categories"], "category", "id", "name", "isthing"), key=itemgetter("id")
        )
        position = {category["id"]: i for i, category in enumerate(categories)}
        if len(position) < len(categories):
            raise DataError(f"a category id twice among {[category['id'] for category in categories]}"[:200])
        photos = {photo["id"]: stem(photo["file_name"]) for photo in content["images"]}
        segments = {}
        labels = {}
        for entry in content["annotations"]:
            name = photos[entry["image_id"]]
            if name in segments:
                raise DataError(f"annotations of image {name} twice")
            segments[name] = _segments(entry, position)
            labels[name] = stem(entry.get("file_name") or name + ".png")
        classes = Classes(
            names=tuple(category["name"] for category in categories),
            colors=tuple(tuple(category.get("color", color(category["id"]))) for category in categories),
            things=tuple(i for i, category in enumerate(categories) if category["isthing"]),
            region="a thing or an area of stuff",
            ids=tuple(category["id"] for category in categories),
        )
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, RecursionError) as error:
        found = error if isinstance(error, DataError) else repr(error)
        raise DataError(f"expected the JSON file of COCO panoptic, found {found} in {path}") from error
    return _Index(classes, segments, labels)


def _segments(entry: Json, position: Mapping[int, int]) -> npt.NDArray[np.void]:
    """The ids, classes and crowds of the segments of an image."""
    listed = _with(entry["segments_info"], "segment", "id", "category_id")
    segments = np.array(
        [(s["id"], position[s["category_id"]], s.get("iscrowd", 0)) for s in listed], _SEGMENT
    )
    ids, counts = np.unique(segments["id"], return_counts=True)
    if (counts > 1).any():
        raise DataError(f"segment id {ids[counts > 1][0]} twice in image {entry['image_id']}")
    return segments


def _with(entries: Sequence[Json], kind: str, *keys: str) -> Sequence[Json]:
    """The entries of a list in the JSON file; a DataError unless all have the keys."""
    for entry in entries:
        if missing := [key for key in keys if key not in entry]:
            raise DataError(f"no {missing[0]} in the {kind} {str(entry)[:100]}")
    return entries
