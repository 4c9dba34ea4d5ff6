"""Checks of the arguments of the data module and of mixtures, and of the splits of a dataset."""

import math
import re
from collections.abc import Collection, Mapping
from typing import get_args

from fusionseg.data.base import DataError, SegmentationDataset, Split
from fusionseg.data.input_size import Resize
from fusionseg.data.merged_classes import Counting

LARGEST_CROP = 8192
"""Largest side of a crop in pixels."""

LARGEST_SIDE = 16384
"""Largest side in pixels to which images are brought."""


def check_sizes(
    batch_size: int,
    eval_batch_size: int,
    crop_size: tuple[int, int],
    scale: float,
    resize: Resize | None = None,
) -> None:
    """Raises a ValueError unless the sizes of images and batches are possible."""
    sides = [] if resize is None else [resize] if isinstance(resize, int) else list(resize)
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(
            "expected data.resize as a longest side, or height and width, of 1 to "
            f"{LARGEST_SIDE} pixels, found {resize}"
        )
    if sides and scale != 1:
        raise ValueError(
            f"expected data.resize or data.scale, found both ({resize} and {scale:g}): leave one out"
        )
    if any(length % 32 or not 32 <= length <= LARGEST_CROP for length in crop_size):
        found = f"{crop_size[0]} x {crop_size[1]}"
        raise ValueError(f"expected data.crop_size of multiples of 32 up to {LARGEST_CROP}, found {found}")
    if not 0 < scale <= 16:
        raise ValueError(f"expected data.scale above 0 and up to 16, found {scale}")
    if batch_size < 1 or eval_batch_size < 1:
        sizes = f"{batch_size} and {eval_batch_size}"
        raise ValueError(f"expected data.batch_size and data.eval_batch_size above 0, found {sizes}")


def check_numbers(workers: int | None, fraction: float, seed: int | None) -> None:
    """Raises a ValueError unless the number of workers, the fraction and the seed are possible."""
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction of the training images in (0, 1], found {fraction}")
    if not 0 <= (workers or 0) <= 512 or (seed or 0) < 0:
        raise ValueError(
            f"expected data.workers in 0..512 and data.seed of 0 or more, found {workers} and {seed}"
        )


def check_apart(datasets: Mapping[Split, SegmentationDataset]) -> None:
    """Raises a DataError unless every image is in one split once and all splits have the same classes."""
    owners: dict[str, str] = {}
    first = next(iter(datasets.values()))
    for split, dataset in datasets.items():
        if dataset.classes != first.classes:
            raise DataError(f"expected the same classes in {first.split} and {split}, found different ones")
        for name in map(dataset.name, range(len(dataset))):
            if name in owners:
                raise DataError(
                    f"expected each image in one split once, found {name} in {owners[name]} and in {split}"
                )
            owners[name] = split


def check_part_names(datasets: Collection[str], **settings: Mapping[str, object]) -> None:
    """Raises a DataError unless the parts' names are fit for files and every setting is of a known part."""
    wrong = [name for name in datasets if not re.fullmatch(r"[\w.-]+", name)]
    if wrong or not datasets:
        raise DataError(
            f"expected datasets by names of letters, digits, '_', '-' and '.', found {wrong or 'none'}"
        )
    for setting, given in settings.items():
        if unknown := [name for name in given if name not in datasets]:
            raise DataError(
                f"expected {setting} of the parts {', '.join(datasets)}, found {', '.join(unknown)}"
            )


def check_part_values(
    datasets: Collection[str],
    weights: Mapping[str, float] | None,
    counting: Mapping[str, str],
    epoch_length: int | None,
) -> None:
    """Raises a DataError unless weights, labels and the length of an epoch are possible."""
    if weights is not None:
        if missing := [name for name in datasets if name not in weights]:
            raise DataError(f"expected a weight for each part, found none for {', '.join(missing)}")
        if not all(0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
            raise DataError(f"expected weights of 0 or more, not all 0, found {dict(weights)}")
    known = get_args(Counting)
    if unknown := [f"{labels} of {name}" for name, labels in counting.items() if labels not in known]:
        raise DataError(f"expected labels {', '.join(known)}, found {', '.join(unknown)}")
    if epoch_length is not None and epoch_length < 1:
        raise DataError(f"expected an epoch_length above 0, found {epoch_length}")


def check_part_maps(parts: Mapping[str, SegmentationDataset]) -> None:
    """Raises a DataError unless the labels of all parts of a mixture are maps."""
    if whole := [name for name, part in parts.items() if part.classes.per_image]:
        raise DataError(f"expected parts with label maps, found labels of whole images in {', '.join(whole)}")


def equal_share(batch_size: int, ranks: int) -> int:
    """The samples of a step on each of the ranks.

    Raises:
        ValueError: If they cannot be shared equally.
    """
    if batch_size % ranks:
        raise ValueError(
            f"expected a batch_size that {ranks} ranks can share equally, found {batch_size}: it counts the "
            "samples of all ranks together"
        )
    return batch_size // ranks
