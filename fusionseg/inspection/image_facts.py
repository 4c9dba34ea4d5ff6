"""Counts what the labels of one image hold: pixels of each class, and size and shape of each region."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.base import Labels, class_pixels
from fusionseg.data.label_statistics import labelled_pixels
from fusionseg.files.photos import Photo
from fusionseg.metrics.contingency import overlaps, totals
from fusionseg.sample import VOID, IntMap

Ints = npt.NDArray[np.int64]


class Regions(NamedTuple):
    """The R regions of one image, or of several.

    Args:
        label: The class of most of a region's pixels (R,), `VOID` where none has a class.
        area: Pixels (R,).
        parts: The number of 8-connected parts (R,), at least 1.
        height: Rows from the first to the last pixel (R,).
        width: Columns from the first to the last pixel (R,).
        touches: Whether a pixel has a 4-neighbor in another region of the same class (R,) bool.
    """

    label: Ints
    area: Ints
    parts: Ints
    height: Ints
    width: Ints
    touches: npt.NDArray[np.bool_]


class PhotoFacts(NamedTuple):
    """The values of one image.

    Args:
        kind: Their type, such as `uint8`.
        low: The smallest one.
        high: The largest one.
        mean: The mean of each channel (C,).
    """

    kind: str
    low: float
    high: float
    mean: npt.NDArray[np.float64]


class ImageFacts(NamedTuple):
    """What one image and its labels hold.

    Args:
        size: Height and width.
        class_pixels: Pixels of each class (C,).
        labelled: Labelled pixels of each kind: `semantic`, `region` and the dataset's `kinds`.
        regions: Its regions.
        photo: The values of the image, where they were looked at.
    """

    size: tuple[int, int]
    class_pixels: Ints
    labelled: dict[str, int]
    regions: Regions
    photo: PhotoFacts | None = None


def image_facts(labels: Labels, classes: int, image: Photo | None = None) -> ImageFacts:
    """What the labels hold, and the values of the image if it is given.

    Args:
        labels: The labels.
        classes: The number of classes.
        image: The image (H, W, C).
    """
    height, width = labels.semantic.shape
    return ImageFacts(
        (height, width),
        class_pixels(labels.semantic, classes),
        labelled_pixels(labels),
        regions_of(labels.region, labels.semantic),
        None if image is None else photo_facts(image),
    )


def photo_facts(image: Photo) -> PhotoFacts:
    """The type, range and means of the values of an image (H, W, C)."""
    mean = image.reshape(-1, image.shape[2]).mean(0, dtype=np.float64)
    return PhotoFacts(str(image.dtype), float(image.min()), float(image.max()), mean)


def regions_of(region: IntMap, semantic: IntMap) -> Regions:
    """The regions of an image, by ascending id.

    Args:
        region: Region ids (H, W), 0 where unlabelled.
        semantic: Class ids (H, W), `VOID` where unlabelled.
    """
    found = overlaps(region, semantic)
    if found.rows[0] == 0:
        ids = found.rows[1:]
        first = 1
    else:
        ids = found.rows
        first = 0
    area = totals(found.row, found.area, len(found.rows)).astype(np.int64)[first:]
    label = _majority(found.row, found.columns[found.column], found.area)[first:]
    table = np.zeros(int(found.rows[-1]) + 1, np.int64)
    table[ids] = np.arange(1, len(ids) + 1)
    place = table[region]  # 0 is unlabelled, and k + 1 the k-th region
    rows = _extent(place, len(ids))
    columns = _extent(place.T, len(ids))
    parts = [_parts(place[_box(rows[:, k], columns[:, k])] == k + 1) for k in range(len(ids))]
    height, width = (last - begin + 1 for begin, last in (rows, columns))
    return Regions(label, area, np.array(parts, np.int64), height, width, _touching(place, label))


def _majority(row: Ints, label: Ints, area: npt.NDArray[np.float64]) -> Ints:
    """The class of most pixels of each row (R,), from the area of each pair of row and class."""
    votes = np.where(label == VOID, 0, area)
    order = np.argsort(votes, kind="stable")
    majority = np.empty(int(row.max()) + 1, np.int64)
    majority[row[order]] = label[order]  # where a row occurs several times, the last value stays
    return majority


def _extent(place: Ints, number: int) -> Ints:
    """The first and the last line (2, R) of each of R regions, numbered from 1."""
    flat = place.ravel()
    line = np.arange(flat.size) // place.shape[1]
    extent = np.zeros((2, number + 1), np.int64)
    # where a region occurs several times, the last value stays
    extent[0, flat[::-1]] = line[::-1]
    extent[1, flat] = line
    return extent[:, 1:]


def _box(rows: Ints, columns: Ints) -> tuple[slice, slice]:
    """The rectangle from first to last row and column."""
    return slice(rows[0], rows[1] + 1), slice(columns[0], columns[1] + 1)


def _parts(inside: npt.NDArray[np.bool_]) -> int:
    """The number of 8-connected parts of a mask (H, W)."""
    return int(cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[0]) - 1


def _touching(place: Ints, label: Ints) -> npt.NDArray[np.bool_]:
    """Which of R regions, numbered from 1, touch another one of their class (R,)."""
    touches = np.zeros(len(label) + 1, bool)
    labels = np.append(VOID, label)
    for first, second in ((place[1:], place[:-1]), (place[:, 1:], place[:, :-1])):
        met = (first != second) & (first > 0) & (second > 0)
        pair = np.stack([first[met], second[met]])
        same = pair[:, labels[pair[0]] == labels[pair[1]]]
        touches[same.ravel()] = True
    return touches[1:]
