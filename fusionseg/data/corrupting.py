"""Corruptions of an image together with its labels."""

import numpy as np

from fusionseg.corruptions import Corruption, LabelChange
from fusionseg.data.base import Labels, Pixels
from fusionseg.sample import VOID


def corrupted(
    pixels: Pixels, corruption: Corruption, severity: int, seed: int, colors: int | None = None
) -> Pixels:
    """A corrupted image, whose labels move along.

    Args:
        pixels: The image and its labels.
        corruption: The corruption.
        severity: How strong it is, in 1..5.
        seed: What it depends on besides.
        colors: How many channels are of the camera, by default all: others are changed only where pixels are
            moved or hidden.
    """
    first = pixels.image[..., :colors] if corruption.labels is None else pixels.image
    image = corruption.image(np.ascontiguousarray(first), severity, seed)
    if image.shape != pixels.image.shape:
        image = np.dstack([image, pixels.image[..., colors:]])
    return Pixels(
        image, *moved(Labels(*pixels[1:]), change_of(corruption, pixels.semantic.shape, severity, seed))
    )


def change_of(corruption: Corruption, size: tuple[int, ...], severity: int, seed: int) -> LabelChange | None:
    """What a corruption does to label maps of a size (H, W); None if nothing."""
    if corruption.labels is None:
        return None
    height, width = size
    return corruption.labels((height, width), severity, seed)


def moved(labels: Labels, change: LabelChange | None) -> Labels:
    """Label maps that moved along with their image."""
    if change is None:
        return labels
    maps = {kind: change.values(kind, plane) for kind, plane in labels.maps.items()} or labels.maps
    return Labels(change.ids(labels.semantic, VOID), change.ids(labels.region, 0), maps)
