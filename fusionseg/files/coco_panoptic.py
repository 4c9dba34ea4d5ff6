"""Reads COCO's panoptic annotations: a JSON file that lists segments, and PNG files with their ids."""

import functools
import json
from collections.abc import Hashable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UserError
from fusionseg.files.archive_path import fingerprint
from fusionseg.files.atomic import Json
from fusionseg.files.images import read_labels
from fusionseg.files.matching import stem
from fusionseg.files.photos import read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import IntMap

SEGMENT = np.dtype([("id", np.uint32), ("label", np.uint8), ("crowd", np.bool_)])


class PanopticFile(NamedTuple):
    """The content of a JSON file; images are known by their ids in it.

    Attributes:
        categories: The categories by ascending id; a class is the position of its category.
        photos: For each image the name of its photo, without suffix; empty where the file lists no images.
        segments: For each image the ids, classes and crowds of its segments.
        labels: For each image the name of its PNG file, without suffix.
    """

    categories: Sequence[Json]
    photos: Mapping[Hashable, str]
    segments: Mapping[Hashable, npt.NDArray[np.void]]
    labels: Mapping[Hashable, str]


def panoptic_file(path: ReadablePath, categories: Sequence[Json] | None = None) -> PanopticFile:
    """Reads a JSON file of annotations, or of a prediction, which need not list images and categories.

    A file that was read with the same arguments is not parsed again unless it changed.

    Args:
        path: The JSON file.
        categories: Categories in place of its own.

    Raises:
        UserError: If the file has another content.
    """
    given = None if categories is None else json.dumps(list(categories))
    return _parsed(path, fingerprint(path), given)


@functools.lru_cache(maxsize=4)
def _parsed(path: ReadablePath, state: tuple[object, ...], given: str | None) -> PanopticFile:
    """Parses a JSON file of half a gigabyte, once in a process.

    Args:
        path: The JSON file.
        state: Its size and time of change, so that a changed file is parsed again.
        given: Categories in place of its own, as JSON.
    """
    try:
        content = json.loads(path.read_bytes())
        listed = content["categories"] if given is None else json.loads(given)
        categories = sorted(_with(listed, "category", "id", "name", "isthing"), key=itemgetter("id"))
        for category in categories:
            _check_whole(category, "isthing", most=1)
        position = {category["id"]: i for i, category in enumerate(categories)}
        own = content.get("categories", [])
        if given is not None and (other := _differing(own, categories)):
            raise UserError(f"categories that are not the truth's, {other}")
        if len(position) < len(categories):
            raise UserError(f"a category id twice among {[category['id'] for category in categories]}"[:200])
        if len(categories) > 255:
            raise UserError(f"{len(categories)} categories, where 255 are possible")
        images = content["images"] if given is None else content.get("images", [])
        photos = {photo["id"]: stem(photo["file_name"]) for photo in images}
        segments = {}
        labels = {}
        named: set[str] = set()
        for entry in content["annotations"]:
            image = entry["image_id"]
            name = photos[image] if given is None else photos.get(image, str(image))
            if image in segments or name in named:
                raise UserError(f"annotations of image {name} twice")
            named.add(name)
            segments[image] = _segments(entry, position)
            labels[image] = stem(entry.get("file_name") or name + ".png")
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, RecursionError) as error:
        found = str(error) if isinstance(error, UserError) else repr(error)[:200]
        raise UserError(f"expected the JSON file of COCO panoptic, found {found} in {path}") from error
    return PanopticFile(categories, photos, segments, labels)


def _differing(own: Sequence[Json], categories: Sequence[Json]) -> str:
    """What a prediction's own categories say else than those of the truth; empty if nothing."""
    known = {category["id"]: category["name"] for category in categories}
    for category in own:
        number, name = category.get("id"), category.get("name")
        if number in known and name is not None and name != known[number]:
            return f"{number} is {name!r} and not {known[number]!r}"
    return ""


def _segments(entry: Json, position: Mapping[int, int]) -> npt.NDArray[np.void]:
    """The ids, classes and crowds of the segments of an image."""
    listed = _with(entry["segments_info"], "segment", "id", "category_id")
    if unknown := sorted({s["category_id"] for s in listed} - position.keys(), key=str):
        raise UserError(f"the unknown category {unknown[0]!r} in image {entry['image_id']}")
    for segment in listed:
        _check_whole(segment, "id")
        _check_whole(segment, "iscrowd", most=1)
    segments = np.array([(s["id"], position[s["category_id"]], s.get("iscrowd", 0)) for s in listed], SEGMENT)
    ids, counts = np.unique(segments["id"], return_counts=True)
    if (counts > 1).any():
        raise UserError(f"segment id {ids[counts > 1][0]} twice in image {entry['image_id']}")
    return segments


def _check_whole(entry: Json, key: str, most: int = 2**24 - 1) -> None:
    """Raises a UserError if a number in the JSON file is there and not a whole one from 0 to `most`."""
    value = entry.get(key, 0)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise UserError(f"{key} {value!r} in {str(entry)[:100]}")


def _with(entries: Sequence[Json], kind: str, *keys: str) -> Sequence[Json]:
    """The entries of a list in the JSON file; an error unless all have the keys."""
    for entry in entries:
        if missing := [key for key in keys if key not in entry]:
            raise UserError(f"no {missing[0]} in the {kind} {str(entry)[:100]}")
    return entries


def segment_map(
    path: ReadablePath, segments: npt.NDArray[np.void], complete: bool = False
) -> npt.NDArray[np.intp]:
    """Which segment each pixel (H, W) belongs to: its position in the list from 1, 0 for void.

    The color of a pixel is the id of its segment, red + 256 green + 65536 blue. Arrays hold ids.

    Args:
        path: The PNG, TIFF or NPY file.
        segments: The segments that the JSON file lists for it.
        complete: Whether all of them have to be there.

    Raises:
        UserError: If the file has segments that the JSON file does not list, or lacks some that it must have.
    """
    known = np.append(np.uint32(0), segments["id"])
    order = np.argsort(known)
    ids = _ids(path)
    place: npt.NDArray[np.intp] = order[np.searchsorted(known, ids, sorter=order).clip(max=len(known) - 1)]
    if (strange := known[place] != ids).any():
        found = np.unique(ids[strange])[:5].tolist()
        raise UserError(f"expected the segment ids that the JSON file lists, found {found} in {path}")
    if complete:
        there = np.bincount(place.ravel(), minlength=len(known))[1:] > 0
        if lacking := segments["id"][~there].tolist():
            raise UserError(
                f"expected pixels of every segment that the JSON file lists, found none of "
                f"{lacking[:5]} in {path}"
            )
    return place


def _ids(path: ReadablePath) -> IntMap:
    """The segment ids (H, W) in a file."""
    if path.suffix.lower() == ".npy":
        return read_labels(path)
    red, green, blue = (plane.astype(np.uint32) for plane in np.moveaxis(read_image(path), 2, 0))
    return red + 256 * green + 65536 * blue  # type: ignore[no-any-return]
