"""Notices on the photos of a dataset, for what makes scores low without an error."""

from collections.abc import Iterator

import numpy as np

from fusionseg.config.errors import unmendable
from fusionseg.data.base import SegmentationDataset
from fusionseg.files.photos import orientation

_FILES = 256
"""Photos whose orientation is looked at."""

_IMAGES = 8
"""Images whose values are looked at."""

NARROW = 0.1
"""Values that fill less of their range are worth a notice."""


def photo_notices(dataset: SegmentationDataset) -> Iterator[str]:
    """One line for photos with an EXIF orientation and one for values of a narrow range, where there are any.

    Args:
        dataset: One split; some of its images at even distances are looked at.
    """
    chosen = [dataset.photo(index) for index in _spread(len(dataset), _FILES)]
    photos = [path for path in chosen if path is not None]
    turned = [path for path in photos if orientation(path) > 1]
    if turned:
        yield (
            f"{len(turned)} of {len(photos)} {dataset.split} photos looked at have an EXIF orientation "
            f"({turned[0]}): images and labels are read as stored, so labels must belong to the stored pixels"
        )
    part = _filled(dataset)
    if part < NARROW:
        yield (
            f"{dataset.split} images fill {100 * part:.1f} % of the range of their values (12 bits in 16?): "
            "declare the values that are black and white, in classes.yaml as value_range: [low, high]"
        )


def _filled(dataset: SegmentationDataset) -> float:
    """The part of their range that the values of images fill together; 1 for 8 bits."""
    lows, highs = [], []
    for index in _spread(len(dataset), _IMAGES):
        with unmendable():
            image = dataset.read(index).image
        if image.dtype == np.uint8:
            return 1.0
        top = 1.0 if image.dtype == np.float32 else 65535.0
        lows.append(float(image.min()) / top)
        highs.append(float(image.max()) / top)
    return max(highs) - min(lows) if lows else 1.0


def _spread(count: int, most: int) -> range:
    return range(0, count, -(-count // most) or 1)
