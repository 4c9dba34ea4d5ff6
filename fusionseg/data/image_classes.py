"""Base class of datasets whose labels are of whole images: which classes each shows."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.base import DataError, Labels, Pixels, SegmentationDataset, Split
from fusionseg.files.image_sizes import stored_size
from fusionseg.files.matching import some
from fusionseg.files.photos import read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes
from fusionseg.visualize import color

Channels = Literal[1, 3]
"""Channels of an image: gray, or RGB."""


class ImageClasses(SegmentationDataset):
    """Images of which a label says as a whole which classes they show; no pixel has a class or a region.

    Args:
        split: Which images.
        photos: The file of each image of the split, by its name.
        names: The names of the classes.
        per_image: How many classes an image shows, as in `Classes`.
        channels: 3 for RGB, to which other colors are converted; 1 for gray.
        source: Where the labels are from, for messages.

    Raises:
        DataError: There is no class, or only one where an image shows exactly one.
    """

    def __init__(
        self,
        split: Split,
        photos: Mapping[str, ReadablePath],
        names: Sequence[str],
        per_image: Literal["one", "any"],
        channels: Channels,
        source: ReadablePath,
    ) -> None:
        super().__init__(split)
        if not names:
            raise DataError(f"expected a class or more, found none in {source}: say what the images show")
        if per_image == "one" and len(names) < 2:
            raise DataError(
                f"expected images of two classes or more, found {some(names)} alone in {source}: "
                "add images of another class"
            )
        self.classes = Classes(
            tuple(names), tuple(color(i) for i in range(len(names))), region="none", per_image=per_image
        )
        self.channels = channels
        self.names = list(photos)
        self._photos = dict(photos)
        ids = {name: i for i, name in enumerate(names)}
        self._shown = {name: [ids[one] for one in self.classes_of(name)] for name in photos}
        seen = {i for shown in self._shown.values() for i in shown}
        if split == "train" and (absent := [name for i, name in enumerate(names) if i not in seen]):
            self.notices = (f"no image of {some(absent)} among the {len(photos)} to train on ({source})",)

    @abstractmethod
    def classes_of(self, name: str) -> Sequence[str]:
        """The names of the classes that an image of the split shows, by its own; the constructor asks."""

    def __len__(self) -> int:
        return len(self.names)

    @override
    def name(self, index: int) -> str:
        return self.names[index]

    @override
    def photo(self, index: int) -> ReadablePath:
        return self._photos[self.names[index]]

    @override
    def read(self, index: int) -> Pixels:
        image = read_image(self.photo(index), channels=self.channels)
        return Pixels(image, *_unlabelled((image.shape[0], image.shape[1])))

    @override
    def labels(self, index: int) -> Labels:
        size = stored_size(self.photo(index))
        return _unlabelled(size) if size else Labels(*self.read(index)[1:])

    @override
    def shown(self, index: int) -> npt.NDArray[np.float32]:
        found = np.zeros(len(self.classes), np.float32)
        found[self._shown[self.names[index]]] = 1
        return found

    @override
    def sources(self) -> list[object]:
        return [self.channels, *self._photos.values()]


def _unlabelled(size: tuple[int, int]) -> Labels:
    """The label maps of an image (H, W) whose pixels have no labels."""
    return Labels(np.full(size, VOID, np.uint8), np.zeros(size, np.uint16))
