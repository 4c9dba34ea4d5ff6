"""Notices on the photos of a dataset, for what makes scores low without an error."""

from collections.abc import Iterator

import numpy as np

from fusionseg.config.errors import unmendable
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.download_parts import shortfalls
from fusionseg.files.orientation import orientation
from fusionseg.files.photos import Photo

_FILES = 256
"""Photos whose orientation is looked at."""

_IMAGES = 8
"""Images whose values are looked at."""

_NARROW = 0.1
"""Values that fill less of their range are worth a notice."""

_CLIPPED = 0.2
"""Part of the values that may be at the end of their range, where all beyond it are."""

MISFIT = "fill less than a tenth of the range of their values (12 bits in 16?) or lie beyond it"
"""What a notice says of images that do not fit their range."""

SHALLOW = "have 8 bits, to which the value range is not applied: they are read as they are"
"""The same of images where a range is declared for those of more bits."""


def photo_notices(dataset: SegmentationDataset) -> Iterator[str]:
    """What is to be said of the images of a split before they are used, in lines.

    These are the dataset's own notices, and a line each for what is missing of its download, for photos with
    an EXIF orientation, and for values that do not fit a range or have none.

    Args:
        dataset: One split; some of its images at even distances are looked at.
    """
    yield from dataset.notices
    yield from shortfalls(dataset.download)
    chosen = [dataset.photo(index) for index in _spread(len(dataset), _FILES)]
    photos = [path for path in chosen if path is not None]
    turned = [path for path in photos if orientation(path) > 1]
    if turned:
        yield (
            f"{len(turned)} of {len(photos)} {dataset.split} photos looked at have an EXIF orientation "
            f"({turned[0]}): images and labels are read as stored, so labels must belong to the stored pixels"
        )
    declared = dataset.value_range is not None
    images = list(_images(dataset))
    if wrong := sum(not fits_range(image, declared) for image in images):
        yield (
            f"{wrong} of {len(images)} {dataset.split} images looked at {MISFIT}: declare the values that "
            "are black and white, in classes.yaml as value_range: [low, high]"
        )
    if declared and (shallow := sum(image.dtype == np.uint8 for image in images)):
        yield f"{shallow} of {len(images)} {dataset.split} images looked at {SHALLOW}"


def fits_range(image: Photo, declared: bool) -> bool:
    """Whether values fill a tenth of their range, and at most a fifth are at its end; always for 8 bits.

    Args:
        image: The image.
        declared: Whether the range was declared, so that values beyond it are now at its end.
    """
    if image.dtype == np.uint8:
        return True
    top = 1.0 if image.dtype == np.float32 else 65535.0
    filled = (float(image.max()) - float(image.min())) / top
    return filled >= _NARROW and not (declared and (image == top).mean() > _CLIPPED)


def _images(dataset: SegmentationDataset) -> Iterator[Photo]:
    """Some images."""
    for index in _spread(len(dataset), _IMAGES):
        with unmendable():
            image = dataset.read(index).image
        yield image


def _spread(count: int, most: int) -> range:
    return range(0, count, -(-count // most) or 1)
