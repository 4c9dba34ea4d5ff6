"""The size at which a network sees an image."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.data.warping import channel_groups
from fusionseg.files.photos import Photo

Resize: TypeAlias = int | tuple[int, int]
"""The longest side of all images, or their height and width, in pixels."""

Label = TypeVar("Label", bound=np.integer[Any] | np.floating[Any])


class InputSize(NamedTuple):
    """How the size of an image leads to that of a network's input.

    >>> [size.of((90, 64)) for size in (InputSize(0.5), InputSize(resize=32), InputSize(resize=(48, 48)))]
    [(45, 32), (32, 23), (48, 48)]

    Args:
        scale: Size of the input relative to the image.
        resize: The longest side of the input, which keeps the image's proportions, or height and width; in
            place of `scale`.
    """

    scale: float = 1.0
    resize: int | Sequence[int] | None = None

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the input.

        Args:
            size: Those of the image.
        """
        height, width = size
        if self.resize is None:
            return max(1, round(height * self.scale)), max(1, round(width * self.scale))
        if isinstance(self.resize, int):
            longest = max(size)
            return max(1, round(height * self.resize / longest)), max(1, round(width * self.resize / longest))
        return self.resize[0], self.resize[1]

    @property
    def described(self) -> str:
        """In words, for messages and pages."""
        if self.resize is None:
            return f"a scale of {self.scale:g}"
        if isinstance(self.resize, int):
            return f"a longest side of {self.resize} pixels"
        return f"{self.resize[0]} x {self.resize[1]} pixels"


def resampling(size: tuple[int, int], other: tuple[int, int]) -> int:
    """How OpenCV brings an image of a size (H, W) to another: by averaging to a smaller, else linearly."""
    return cv2.INTER_AREA if other[0] * other[1] < size[0] * size[1] else cv2.INTER_LINEAR


def nearest_labels(labels: npt.NDArray[Label], size: tuple[int, int]) -> npt.NDArray[Label]:
    """A label map (H, W) or (H, W, C) at another size (H, W): the label at the nearest pixel's center."""
    if labels.shape[:2] == size:
        return labels
    resized: npt.NDArray[Any] = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.reshape(*size, *labels.shape[2:])


def resized_image(image: Photo, size: tuple[int, int]) -> Photo:
    """An image (H, W, C) at another size (H, W), averaged where it becomes smaller."""
    own = (image.shape[0], image.shape[1])
    if own == size:
        return image
    # four channels at a time, as OpenCV averages no more
    groups = [cv2.resize(g, size[::-1], interpolation=resampling(own, size)) for g in channel_groups(image)]
    found: Photo = groups[0] if len(groups) == 1 else np.dstack(groups)  # type: ignore[assignment]
    return found.reshape(*size, -1)
