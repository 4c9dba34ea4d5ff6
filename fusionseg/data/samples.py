"""Samples: the layer between a dataset and a DataLoader."""

import signal
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fusionseg.config.errors import unstopped
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import DataError, Pixels, SegmentationDataset, channels_first, labelled_images
from fusionseg.data.batches import collated
from fusionseg.data.frozen_features import Features, variant
from fusionseg.data.input_size import InputSize, Resize, nearest_labels, resized_image
from fusionseg.data.samplers import Key
from fusionseg.files.photos import Photo
from fusionseg.sample import Classes, Sample, Truth


class TrainSamples(Dataset[Sample]):
    """Random views of a dataset's images, a function of the seed and the key (epoch, index, occurrence).

    Args:
        dataset: One split.
        augmentation: What makes a view.
        crop_size: Height and width of a view.
        scale: Size of the images relative to their files.
        seed: What the views depend on besides the key.
        resize: The size to which images are brought in place of `scale`, as in `InputSize`.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        augmentation: Augmentation,
        crop_size: tuple[int, int],
        scale: float = 1.0,
        seed: int = 0,
        resize: Resize | None = None,
    ) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        self.crop_size = crop_size
        self.scale = scale
        self.seed = seed
        self.resize = resize
        self.variants: int | None = None
        """How many views an image has; a new one in each epoch where None."""
        self.features = Features()
        """Those of the views, by their variants."""
        self.weak = False
        """Whether a sample has the crop in its own colors too, as `weak`."""
        if augmentation.depth_by_zoom and dataset.depth_limit is not None:
            raise DataError(
                "expected depth_by_zoom: false for images with a channel of depth, since a zoom changes that "
                "of labels alone, found true: set data.augmentation.depth_by_zoom"
            )
        needing = [type(c).__name__ for c in augmentation.changes if c.needs_things]
        if needing and not dataset.classes.things:
            raise DataError(
                f"expected data with things (countable classes) for {needing[0]}, found none among "
                f"{', '.join(dataset.classes.names)}: leave it out of data.augmentation.changes"
            )

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def things(self) -> tuple[int, ...]:
        """The ids of the dataset's countable classes."""
        return self.dataset.classes.things

    @property
    def color_channels(self) -> int:
        """The channels of the dataset's images without that of depth."""
        return self.dataset.color_channels

    def another(self, rng: np.random.Generator) -> Pixels:
        """A random view of an image with labels that is drawn, before the changes of the augmentation."""
        pixels = self._read(int(rng.choice(self._labelled)), rng)
        return self.augmentation.plain_view(pixels, self.crop_size, self.scale, rng)

    @cached_property
    def _labelled(self) -> npt.NDArray[np.int64]:
        """The indices of the images that have labels."""
        return labelled_images(self.dataset)

    @unstopped
    def __getitem__(self, key: Key | tuple[int, int] | int) -> Sample:
        # Samplers that are not ours, such as the one behind Lightning's overfit_batches, give no epoch.
        epoch, index, *occurrence = key if isinstance(key, tuple) else (0, key)
        if self.variants:
            epoch, occurrence = variant(epoch, sum(occurrence), self.variants), []
        # The last number keeps this random stream apart from that of the order, which shares (seed, epoch).
        rng = np.random.default_rng((self.seed, epoch, index, 1 + sum(occurrence)))
        seen = (self._read(index, rng), self.crop_size, self.scale, rng, self)
        further = {}
        if self.weak:
            pixels, weak = self.augmentation.two_views(*seen)
            further["weak"] = _image(weak)
        else:
            pixels = self.augmentation(*seen)
        named = {"name": self.dataset.name(index)} | self.features.of(index, epoch)
        return _tensors(pixels) | _image_label(self.dataset, index) | named | further

    def _read(self, index: int, rng: np.random.Generator) -> Pixels:
        """An image with the regions of one of its annotators, at the size it has without a zoom."""
        pixels = self.dataset.read(index)
        region = self.dataset.annotation(index, rng)
        whole = pixels if region is None else pixels._replace(region=region)
        # a scale is a part of the view's own warp
        return whole if self.resize is None else resized(whole, InputSize(resize=self.resize))


class EvaluationSamples(Dataset[Sample]):
    """A dataset's whole images or batches of them, and the `Truth` of each.

    Args:
        dataset: One split.
        scale: Size of the images relative to their files; the truth keeps the files' own.
        resize: The size to which images are brought in place of `scale`, as in `InputSize`.
    """

    def __init__(
        self, dataset: SegmentationDataset, scale: float = 1.0, resize: Resize | None = None
    ) -> None:
        self.dataset = dataset
        self.size = InputSize(scale, resize)
        self.features = Features()
        """Those of the whole images."""

    @property
    def classes(self) -> Classes:
        """The dataset's classes."""
        return self.dataset.classes

    @property
    def kinds(self) -> tuple[str, ...]:
        """The dataset's kinds of labels beside `semantic` and `region`."""
        return self.dataset.kinds

    def truth(self, index: int) -> Truth:
        """The dataset's truth for a sample's `index`."""
        return self.dataset.truth(index)

    def group(self, index: int) -> str | None:
        """What the dataset says that a sample's `index` belongs to."""
        return self.dataset.group(index)

    def __len__(self) -> int:
        return len(self.dataset)

    @unstopped
    def __getitem__(self, index: int | tuple[int, ...]) -> Sample:
        if isinstance(index, tuple):
            return collated([self[each] for each in index])
        pixels = resized(self.dataset.read(index), self.size)
        named = {"name": self.dataset.name(index), "index": index} | self.features.of(index)
        return _tensors(pixels) | _image_label(self.dataset, index) | named


def resized(pixels: Pixels, to: InputSize) -> Pixels:
    """An image and its labels at another size: averaged or linear for the image, nearest for all labels.

    No label changes its value, as by a scale: disparity stays in pixels of the original image.
    """
    own = (pixels.semantic.shape[0], pixels.semantic.shape[1])
    size = to.of(own)
    if size == own:
        return pixels
    semantic = nearest_labels(pixels.semantic, size)
    region = nearest_labels(pixels.region, size)
    maps = pixels.maps and {kind: nearest_labels(plane, size) for kind, plane in pixels.maps.items()}
    return Pixels(resized_image(pixels.image, size), semantic, region, maps)


def quiet_worker(worker: int) -> None:
    """Limits OpenCV to one thread in a worker process, as the workers already use all cores.

    Ctrl-C, which a terminal sends to workers too, is left to the process that they work for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _image_label(dataset: SegmentationDataset, index: int) -> Sample:
    """The classes of an image (C,) as `scene`, where it has a label as a whole."""
    shown = dataset.shown(index)
    return {} if shown is None else {"scene": torch.from_numpy(shown)}


def _tensors(pixels: Pixels) -> Sample:
    """The tensors of a sample: image, class ids as uint8, region ids as int32, further maps as float32."""
    sample: Sample = {
        "image": _image(pixels.image),
        "semantic": torch.from_numpy(np.require(pixels.semantic, requirements=["C", "W"])),
        "region": torch.from_numpy(pixels.region.astype(np.int32)),
    }
    for kind, plane in channels_first(pixels.maps).items():
        sample[kind] = torch.from_numpy(np.require(plane, np.float32, ["C", "W"]))
    return sample


def _image(image: Photo) -> Tensor:
    """The tensor (C, H, W) of an image (H, W, C); a copy where it is of a cache that cannot be written to."""
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)
