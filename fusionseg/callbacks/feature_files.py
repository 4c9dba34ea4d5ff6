"""Which files of features a training needs, and how they are computed."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track
from torch import Tensor

from fusionseg.config.recipe import plain
from fusionseg.data.base import Split
from fusionseg.data.cache import content_key
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.feature_file import BYTES, FeatureFile, filled, index_file, readable
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.data.late_loader import image_loader
from fusionseg.engine.encoder_features import EncoderFeatures

VIEWS = ("crop_size", "scale", "resize", "augmentation")
"""The settings of the data that decide what a view shows, besides its seed."""


@dataclass(frozen=True)
class Part:
    """The features of one view of each image of a split, in a file of their own.

    Args:
        split: Which images.
        variant: Which view; 0 for whole images.
        file: Where they are, or will be.
        key: A hash of all that they depend on.
        size: Their bytes.
    """

    split: Split
    variant: int
    file: Path
    key: str
    size: int


def needed(data: SegmentationDataModule, recipe: FrozenFeatures, features: EncoderFeatures) -> list[Part]:
    """The parts that a training needs: its views, variant by variant, and the images of its validation.

    A variant does not depend on how many there are, so that a run of more has those of a run of fewer.

    Args:
        data: The data, set up to fit.
        recipe: Which views.
        features: Computes them.

    Raises:
        DataError: A dataset does not say what its pixels depend on.
    """
    encoder = features.digest()
    train, val = data.datasets["train"], data.datasets["val"]
    seen = {name: plain(data.hparams[name]) for name in VIEWS}
    size = BYTES * features.count(data.crop_size) * len(train)
    parts = []
    for number in range(recipe.variants):
        key = _key(encoder, content_key(train), seen, recipe.seed, number)
        parts.append(Part("train", number, _file(data, key, "train"), key, size))
    sizes = (data.input_size.of(val.image_size(index)) for index in range(len(val)))
    size = BYTES * sum(map(features.count, sizes))
    key = _key(encoder, content_key(val), data.scale, data.resize)
    return [*parts, Part("val", 0, _file(data, key, "val"), key, size)]


def fill(
    parts: Sequence[Part], data: SegmentationDataModule, features: EncoderFeatures, speaks: bool
) -> None:
    """Writes the parts that are missing, and gives all of them to the samples of the data.

    Args:
        parts: As `needed` gives them.
        data: The data, set up to fit.
        features: Computes the features.
        speaks: Whether this process says how much it will write.

    Raises:
        DataError: The disk is full, or a file is not what its name says.
    """
    missing = [part for part in parts if not index_file(part.file).exists()]
    if missing and speaks:
        print(notice(missing, data, features), file=sys.stderr)
    files: dict[str, list[FeatureFile]] = {"train": [], "val": []}
    for number, part in enumerate(parts):
        room = sum(later.size for later in parts[number:] if later in missing)
        files[part.split].append(filled(part.file, part.key, _computed(part, data, features), room))
    data.computed["train"].files[:] = files["train"]
    data.computed["val"].files[:] = files["val"]


def notice(parts: Sequence[Part], data: SegmentationDataModule, features: EncoderFeatures) -> str:
    """A line with the size of what is to be written."""
    size = sum(part.size for part in parts)
    views = sum(part.split == "train" for part in parts)
    images = [f"{views} views of {len(data.datasets['train'])} training images"] * (views > 0)
    images += [f"{len(data.datasets['val'])} validation images"] * (views < len(parts))
    strides = ", ".join(str(features.strides[level]) for level in features.levels)
    return (
        f"features of the frozen encoder: {readable(size)} to write into {data.cache_dir}, of "
        f"{' and '.join(images)} at strides {strides}"
    )


def _computed(part: Part, data: SegmentationDataModule, features: EncoderFeatures) -> Iterator[Tensor]:
    """The features of each image, with a progress bar on a terminal."""
    samples: Any = data.views()
    keys: list[Any] = [(part.variant, index) for index in range(len(samples))]
    if part.split == "val":
        samples = data.evaluation_samples(data.datasets["val"], data.scale, data.resize)
        keys = list(range(len(samples)))
    device = features.encoder.mean.device
    batches = track(
        image_loader(samples, keys, data.processes, device.type == "cuda"),
        f"features of {part.split} images" + f", view {part.variant + 1}" * (part.split == "train"),
        len(keys),
        transient=True,
        disable=not sys.stdout.isatty(),
    )
    for batch in batches:
        yield features.of(batch["image"].to(device))[0]


def _file(data: SegmentationDataModule, key: str, split: Split) -> Path:
    return Path(str(data.cache_dir)) / f"Features-{split}-{key}.values"


def _key(*causes: object) -> str:
    """A hash of what features depend on."""
    return hashlib.sha256(repr(causes).encode()).hexdigest()[:16]
