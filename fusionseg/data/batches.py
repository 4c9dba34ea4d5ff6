"""Batches: what a loader makes of several samples."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fusionseg.data.base import DataError
from fusionseg.sample import Sample

IMAGES = ("image", "weak")
"""The keys of a sample's images."""


def batched(sample: Sample) -> Sample:
    """A batch as it is, and a single sample as a batch of one."""
    return sample if isinstance(sample["name"], list) else collated([sample])


def collated(samples: Sequence[Sample]) -> Sample:
    """A batch (B, ...) of samples: channels-last images, and labels in narrow integers (see `widened`).

    Images of different types become floats in [0, 1].

    Raises:
        DataError: The images have different sizes or different kinds of labels.
    """
    first = samples[0]
    for other in samples[1:]:
        if other["image"].shape != first["image"].shape:
            found = ", ".join(f"{s['name']} {tuple(s['image'].shape[1:])}" for s in (first, other))
            raise DataError(
                f"expected images of one size in a batch, found {found}: set eval_batch_size to 1"
            )
        if other.keys() != first.keys():
            found = f"{sorted(first)} of {first['name']}, {sorted(other)} of {other['name']}"
            raise DataError(
                f"expected the same kinds of labels for all images of a batch, found {found}: where an image "
                "has no labels of a kind, let the dataset give a map of zeros"
            )
    batch: Sample = {key: [sample[key] for sample in samples] for key in first}
    for key, value in first.items():
        if key in IMAGES:
            batch[key] = _stacked(batch[key])
        elif isinstance(value, Tensor):
            batch[key] = torch.stack(batch[key])
    if "index" in batch:
        batch["index"] = torch.tensor(batch["index"])
    return batch


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """Images as a channels-last batch, as floats in [0, 1] where their types differ."""
    if len({image.dtype for image in images}) > 1:
        images = [unit_floats(image) for image in images]
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def widened(batch: Sample) -> Sample:
    """The batch with class and region ids as int64; workers send uint8 and int32, a quarter of the bytes."""
    return batch | {"semantic": batch["semantic"].long(), "region": batch["region"].long()}


def unit_floats(image: Tensor) -> Tensor:
    """An image as floats in [0, 1]."""
    return image if image.is_floating_point() else image.float() / torch.iinfo(image.dtype).max
