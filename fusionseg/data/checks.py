"""Checks of the arguments of the data module, and of the splits of a dataset."""

from collections.abc import Mapping

from fusionseg.data.base import DataError, SegmentationDataset, Split
from fusionseg.data.input_size import Resize

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


def check_batches(images: int, batch_size: int, fraction: float) -> None:
    """Raises a DataError unless the training images of an epoch make a batch."""
    if images < batch_size:
        raise DataError(
            f"expected at least one batch of {batch_size} training images, found {images} "
            f"(fraction {fraction:g}): lower data.batch_size or raise data.fraction"
        )


def check_ranks(split: Split, images: int, ranks: int) -> None:
    """Raises a DataError unless each rank has an image to evaluate."""
    if images < ranks:
        raise DataError(f"expected at least one {split} image for each of {ranks} ranks, found {images}")
