"""Base class of all datasets: one split, its classes, and the image and labels of each index."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.config.errors import UserError
from fusionseg.data.download_parts import DownloadPart
from fusionseg.data.rounding import Repeats, rounded
from fusionseg.files.image_sizes import stored_size
from fusionseg.files.photos import Photo, ValueRange
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import Classes, IntMap, Truth

Split: TypeAlias = Literal["train", "val", "test"]

UNVERIFIED = "unverified on the download: checked only on files that tests write in its encoding"
"""What `SegmentationDataset.verified` says where no real file of a data set was at hand."""

LabelMap: TypeAlias = npt.NDArray[np.float32]
"""A label map of a further kind: (H, W) or (H, W, C), 0 (in all channels) where there is no valid label."""


class DataError(UserError):
    """Files or arguments that do not fit a dataset; the type survives the way out of a worker process."""


class _NoMaps(Mapping[str, LabelMap]):
    """The empty mapping. Unlike a dict it is immutable, and unlike a `MappingProxyType` it can be pickled."""

    @override
    def __getitem__(self, kind: str) -> LabelMap:
        raise KeyError(kind)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return 0


NO_MAPS: Mapping[str, LabelMap] = _NoMaps()
"""The further label maps of an image that has none."""


class Pixels(NamedTuple):
    """An image with its label maps, all of one height and width.

    Attributes:
        image: (H, W, C), RGB or RGB and more: uint8, uint16 or float32 in [0, 1].
        semantic: Class ids (H, W) uint8, 255 where unlabeled.
        region: Region ids (H, W) uint16, 0 where unlabeled.
        maps: Label maps of further kinds by their task's name, float32 with channels last, as OpenCV wants
            them: `depth` (H, W) in meters, 0 where invalid; `disparity` (H, W) in pixels of the original
            image or as another inverse depth, 0 where invalid; `normals` (H, W, 3), unit vectors (x right, y
            down, z away from the camera) of the visible side of surfaces, the zero vector where invalid;
            arrays that others computed may have vectors of other lengths, which are kept; `boundary` (H, W),
            the share of annotators who see a boundary there, -1 for none of them, 0 where invalid.
    """

    image: Photo
    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]
    maps: Mapping[str, LabelMap] = NO_MAPS


class Labels(NamedTuple):
    """The label maps of an image, as in `Pixels`."""

    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]
    maps: Mapping[str, LabelMap] = NO_MAPS


class SegmentationDataset(ABC):
    """One split of a dataset.

    The constructor reads lists and checks that files exist, but decodes no image.

    Args:
        split: Which part of the data.

    Attributes:
        splits: The splits that the dataset has.
        classes: Names, colors and kinds of the classes, and what a region is.
        notices: What is to be said of the files before they are used, such as that they are a copy in another
            size, in lines.
        channels: Channels of an image.
        value_range: The values in the files of images of more than 8 bits that are black and white; None
            where they fill their type. Images of 8 bits always do. Predictions of images in files go by it.
        depth_limit: The depth in meters that the largest value of an image's last channel stands for; None
            where that is no depth. Predictions of images and depth in files go by it.
        kinds: Kinds of labels beside `semantic` and `region`, such as `("depth", "normals")`. Every image has
            a map of each of them; one of zeros where the image has no such labels.
        units: What the values of a kind are measured in, where data sets differ in it and the files tell:
            `{"disparity": "pixels"}`.
        verified: `checked on` and the real files on which the reader of a download was tried, or
            `UNVERIFIED`; empty where there is no official download.
        download: How much is there of each part of an official download; empty where there is none.

    Raises:
        DataError: The dataset has no such split.
    """

    splits: ClassVar[tuple[Split, ...]] = ("train", "val", "test")
    classes: Classes
    notices: tuple[str, ...] = ()
    channels: int = 3
    value_range: ValueRange | None = None
    depth_limit: float | None = None
    kinds: tuple[str, ...] = ()
    units: Mapping[str, str] = MappingProxyType({})
    verified: str = ""
    download: tuple[DownloadPart, ...] = ()

    def __init__(self, split: Split) -> None:
        if split not in self.splits:
            raise DataError(
                f"{type(self).__name__} has the splits {', '.join(self.splits)}, found {split!r}: name "
                "another"
            )
        self.split = split

    @property
    def color_channels(self) -> int:
        """The channels of an image without that of depth, if there is one."""
        return self.channels - (self.depth_limit is not None)

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The image's name: unique in the dataset and fit to name a file, below folders where it has `/`."""

    def photo(self, index: int) -> ReadablePath | None:
        """The file of the image, on disk or in an archive; None where it does not come from one."""
        return None

    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of the image, from the header of its file where it comes from one."""
        photo = self.photo(index)
        found = None if photo is None else stored_size(photo)
        if found is not None:
            return found
        height, width = self.labels(index).semantic.shape
        return height, width

    def group(self, index: int) -> str | None:
        """What the image belongs to with others that are like it: a sequence, a city, a scene.

        Images of one group are no independent evidence, so that intervals over images resample whole groups.
        None, the default, where the image stands for itself.
        """
        return None

    @abstractmethod
    def read(self, index: int) -> Pixels:
        """The image and its labels at the size of the files."""

    def labels(self, index: int) -> Labels:
        """The labels alone; a dataset of files overrides this to read them without decoding the photo."""
        return Labels(*self.read(index)[1:])

    def shown(self, index: int) -> npt.NDArray[np.float32] | None:
        """Which classes the image shows (C,), 1 or 0, by a label of the whole image; None without one."""
        return None

    def has_labels(self, index: int) -> bool:
        """Whether an image has labels, of any kind, so that its label maps are worth reading."""
        return True

    def truth(self, index: int) -> Truth:
        """The labels that predictions are scored against, at the size of the label file."""
        labels = self.labels(index)
        shown = self.shown(index)
        maps = channels_first(labels.maps) | ({} if shown is None else {"scene": shown})
        return Truth(labels.semantic, labels.region, maps=maps)

    def annotation(self, index: int, rng: np.random.Generator) -> npt.NDArray[np.uint16] | None:
        """The regions (H, W) of one of several annotators, for training; None if there is only one annotator.

        Args:
            index: Which image.
            rng: The only source of randomness.
        """
        return None

    def order(
        self, rng: np.random.Generator, among: npt.NDArray[np.int64], repeats: Repeats | None = None
    ) -> npt.NDArray[np.int64]:
        """The indices of an epoch of training, in order; the same number in every epoch.

        By default every index as often as wanted, shuffled.

        Args:
            rng: The only source of randomness.
            among: The indices to choose from.
            repeats: How often each of them is wanted, on average; once where left out.
        """
        return rng.permutation(among if repeats is None else np.repeat(among, rounded(repeats, rng)))

    def sources(self) -> list[object]:
        """All that the pixels depend on, parameters and the path of every file: the key of the cache on disk.

        Raises:
            DataError: The dataset does not override this.
        """
        raise DataError(
            f"{type(self).__name__} does not say what it reads: override `sources` or set cache to memory"
        )


def labelled_images(dataset: SegmentationDataset) -> npt.NDArray[np.int64]:
    """The indices of the images of a dataset that have labels."""
    return np.array([i for i in range(len(dataset)) if dataset.has_labels(i)], np.int64)


def channels_first(maps: Mapping[str, LabelMap]) -> dict[str, LabelMap]:
    """The maps (H, W) or (H, W, C) of `Pixels` as (H, W) or (C, H, W), as samples and truths hold them."""
    return {kind: plane if plane.ndim == 2 else np.moveaxis(plane, 2, 0) for kind, plane in maps.items()}


def class_pixels(semantic: IntMap, num_classes: int) -> npt.NDArray[np.int64]:
    """The number of pixels of each class (C,) in a label map (H, W); void is not counted."""
    return np.bincount(semantic.ravel(), minlength=num_classes)[:num_classes]
