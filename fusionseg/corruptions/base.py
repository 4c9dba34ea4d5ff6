"""What all corruptions share: severities, values in [0, 1], lengths in pixels, and what happens to labels."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from fusionseg.files.photos import Photo
from fusionseg.sample import Array

Chosen = TypeVar("Chosen")

Ids = TypeVar("Ids", bound=np.integer)
"""The type of class or region ids, which stays as it is."""

Values: TypeAlias = npt.NDArray[np.float32]
"""The values of an image (H, W, C) in [0, 1]."""

Function: TypeAlias = Callable[[Photo, int, int], Photo]
"""Makes an image of the same type and size from the image, the severity in 1..5 and the seed."""

SEVERITIES = (1, 2, 3, 4, 5)

REFERENCE = 224
"""The shorter side, in pixels, of the images that ImageNet-C's lengths are made for."""


class LabelChange(Protocol):
    """What a corruption does to the label maps of an image, for it moves or hides what they are labels of."""

    def ids(self, plane: npt.NDArray[Ids], unlabelled: int) -> npt.NDArray[Ids]:
        """A map (H, W) of classes or regions, `unlabelled` where the image shows nothing any more."""

    def values(self, kind: str, plane: Array) -> Array:
        """A map (H, W) or (H, W, C) of a further kind such as `depth`, 0 where the image shows nothing."""


class Corruption(NamedTuple):
    """A corruption.

    Attributes:
        family: What others are like it: the name of the file that it is in.
        image: What it does to an image.
        labels: What it does to label maps of a size (H, W), given that, the severity and the seed; None where
            labels stay as they are.
        rgb: Whether it takes images of exactly three channels.
    """

    family: str
    image: Function
    labels: Callable[[tuple[int, int], int, int], LabelChange] | None = None
    rgb: bool = False

    @property
    def name(self) -> str:
        """The name of the function that corrupts images."""
        return str(getattr(self.image, "__name__", "corruption"))


def at(severity: int, parameters: Sequence[Chosen]) -> Chosen:
    """The parameter of a severity.

    >>> at(2, (0.1, 0.2, 0.3, 0.4, 0.5))
    0.2

    Raises:
        ValueError: If there is no such severity.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"expected a severity in 1..{len(SEVERITIES)}, found {severity}")
    return parameters[severity - 1]


def white(image: Photo) -> float:
    """The value that stands for white in an image."""
    kinds = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}
    return kinds[image.dtype]


def unit(image: Photo) -> Values:
    """The values of an image (H, W, C) in [0, 1]."""
    values: Values = image.astype(np.float32) / np.float32(white(image))
    return values


def stored(values: npt.NDArray[np.floating], like: Photo) -> Photo:
    """Values, clipped to [0, 1], in the type of an image; integers are rounded."""
    scaled = values.clip(0, 1) * white(like)
    photo: Photo = (scaled if like.dtype == np.float32 else np.rint(scaled)).astype(like.dtype)
    return photo


def size_of(plane: Array) -> tuple[int, int]:
    """Height and width of an image (H, W, C) or a label map (H, W)."""
    height, width = plane.shape[:2]
    return height, width


def length(image: Photo) -> float:
    """What one pixel of ImageNet-C is in pixels of an image (H, W, C): the ratio of the shorter sides."""
    return min(size_of(image)) / REFERENCE


def by_channel(function: Callable[[Values], Array], values: Values) -> Values:
    """An image of a function of each channel (H, W); OpenCV's functions differ in how many they take."""
    channels = [function(np.ascontiguousarray(values[..., i])) for i in range(values.shape[2])]
    return np.dstack(channels)
