"""Samples and batches: what stands between a dataset and a DataLoader."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from fusionseg.data.augmentation import Augmentation, fours
from fusionseg.data.base import DataError, Pixels, SegmentationDataset
from fusionseg.sample import Classes, Sample, Truth


class TrainSamples(Dataset[Sample]):
    """Random views of a dataset's images, a function of the seed and the key (epoch, index).

    Args:
        dataset: One split.
        augmentation: What makes a view.
        crop_size: Height and width of a view.
        scale: Size of the images relative to their files.
        seed: What chance depends on besides the key.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        augmentation: Augmentation,
        crop_size: tuple[int, int],
        scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        self.crop_size = crop_size
        self.scale = scale
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int] | int) -> Sample:
        # A foreign sampler, such as the one behind Lightning's overfit_batches, knows no epoch.
        epoch, index = key if isinstance(key, tuple) else (0, key)
        # The last word keeps this stream apart from the order's, which shares (seed, epoch).
        rng = np.random.default_rng((self.seed, epoch, index, 1))
        pixels, region = self.dataset.read(index), self.dataset.annotation(index, rng)
        if region is not None:
            pixels = pixels._replace(region=region)
        pixels = self.augmentation(pixels, self.crop_size, self.scale, rng)
        return _tensors(pixels) | {"name": self.dataset.name(index)}


class EvaluationSamples(Dataset[Sample]):
    """A dataset's whole images and the way to their `Truth`.

    Args:
        dataset: One split.
        scale: Size of the images relative to their files; the truth keeps the files' own.
    """

    def __init__(self, dataset: SegmentationDataset, scale: float = 1.0) -> None:
        self.dataset = dataset
        self.scale = scale

    @property
    def classes(self) -> Classes:
        """The dataset's."""
        return self.dataset.classes

    def truth(self, index: int) -> Truth:
        """The dataset's, for a sample's `index`."""
        return self.dataset.truth(index)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        pixels = resized(self.dataset.read(index), self.scale)
        return _tensors(pixels) | {"name": self.dataset.name(index), "index": index}


def resized(pixels: Pixels, scale: float) -> Pixels:
    """An image and its labels at another size: averaged or linear for the image, nearest for the labels."""
    height, width = (max(1, round(length * scale)) for length in pixels.semantic.shape)
    if (height, width) == pixels.semantic.shape:
        return pixels
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    parts = [cv2.resize(group, (width, height), interpolation=way) for group in fours(pixels.image)]
    image: npt.NDArray[Any] = parts[0] if len(parts) == 1 else np.dstack(parts)
    # The exact variant is the one that looks at pixel centers.
    semantic: npt.NDArray[Any] = cv2.resize(
        pixels.semantic, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    region: npt.NDArray[Any] = cv2.resize(
        pixels.region, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return Pixels(image.reshape(height, width, -1), semantic, region)


def collated(samples: Sequence[Sample]) -> Sample:
    """A batch (B, ...) of samples; images are channels-last in memory and labels still narrow integers (see `widened`).

    Raises:
        DataError: The images have different sizes.
    """
    for other in samples[1:]:
        if other["image"].shape != samples[0]["image"].shape:
            found = ", ".join(f"{s['name']} {tuple(s['image'].shape[1:])}" for s in (samples[0], other))
            raise DataError(
                f"expected images of one size in a batch, found {found}: set eval_batch_size to 1"
            )
    batch: Sample = {key: [sample[key] for sample in samples] for key in samples[0]}
    batch["image"] = torch.stack([image.permute(1, 2, 0) for image in batch["image"]]).permute(0, 3, 1, 2)
    batch["semantic"] = torch.stack(batch["semantic"])
    batch["region"] = torch.stack(batch["region"])
    if "index" in batch:
        batch["index"] = torch.tensor(batch["index"])
    return batch


def widened(batch: Sample) -> Sample:
    """The batch with label maps as int64; they travel as uint8 and int32, which is a quarter of the bytes."""
    return batch | {"semantic": batch["semantic"].long(), "region": batch["region"].long()}


def quiet_worker(worker: int) -> None:
    """Keeps a worker to one thread: the workers are the parallelism."""
    cv2.setNumThreads(0)


def _tensors(pixels: Pixels) -> Sample:
    # A copy where the pixels belong to a cache that cannot be written to, which torch does not know.
    image, semantic = (np.require(plane, requirements=["C", "W"]) for plane in pixels[:2])
    return {
        "image": torch.from_numpy(image).permute(2, 0, 1),
        "semantic": torch.from_numpy(semantic),
        "region": torch.from_numpy(pixels.region.astype(np.int32)),
    }
