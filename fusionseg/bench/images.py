"""The images that a model is timed on: files of one size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import instantiate_module

from fusionseg.config.errors import UsageError, UserError
from fusionseg.config.recipe import import_path
from fusionseg.config.trust import check_named, untrusted
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.data.input_size import resized_image
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.engine.hub_config import preprocessing
from fusionseg.files.atomic import Json, replacing
from fusionseg.files.images import write_png
from fusionseg.files.photos import Photo, ValueRange, read_image
from fusionseg.files.readable_path import ReadablePath
from fusionseg.files.state_dicts import unusable
from fusionseg.inference.input_images import InputImages
from fusionseg.runs.checkpoints import opened
from fusionseg.runs.folder import RunFolder

MOST = 16
"""How many images are looked at for those of one size."""


@dataclass(frozen=True)
class BenchImages:
    """Images to time a model on.

    Attributes:
        paths: The files, as many as were asked for; of fewer images some occur again.
        size: Their height and width.
        source: What they are, in words.
    """

    paths: Sequence[ReadablePath]
    size: tuple[int, int]
    source: str


@dataclass(frozen=True)
class Reading:
    """How a model reads images: its channels, and the values that are black and white."""

    channels: int
    value_range: ValueRange | None


def bench_images(
    run: Path,
    given: Sequence[str] | None,
    size: tuple[int, int] | None,
    count: int,
    folder: Path,
    reading: Reading,
    trust: Iterable[str] = (),
) -> BenchImages:
    """The images to time a model on.

    They are those that the user names, else the run's validation images, else synthetic scenes of the wanted
    size or that of the images of which training saw crops.

    Args:
        run: Run folder, checkpoint, or saved folder. It may be anybody's.
        given: Images, folders or patterns that the user names.
        size: The size (H, W) that images are brought to.
        count: How many are wanted.
        folder: Where files are written that are not there yet.
        reading: How the model reads them.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        UsageError: If neither images nor a size are known.
        ValueError: If a file is no image that the model takes.
        OSError: If there is no such file.
    """
    if given:
        found = [image.path for image in InputImages(given, folder).by_name.values()]
        return of_one_size(found, "given images", count, folder, reading, size)
    data = recorded_data(run)
    try:
        dataset = validation_set(run, data, trust)
        images = of_one_size(
            _read(dataset), f"validation images of {type(dataset).__name__}", count, folder, reading, size
        )
    except (ValueError, OSError) as error:
        drawn = size or _crop(data)
        if drawn is None:
            reason = f"{error}; name images (--images) or a size (--size H,W)"
            raise UsageError(reason, "images") from error
        source = f"synthetic scenes of {'that size' if size else 'the size of training crops'}, as {error}"
        return of_one_size(_read(SyntheticScenes("val", MOST, drawn)), source, count, folder, reading)
    return images


def recorded_data(run: Path) -> Json:
    """The arguments of the data that a run, or a checkpoint, was trained on; empty if unknown."""
    best = RunFolder(run).best
    file = best if best.is_file() else run
    return preprocessing(opened(file)) if file.is_file() else {}


def validation_set(run: Path, data: Json, trust: Iterable[str]) -> SegmentationDataset:
    """The validation split of the data set that a run was trained on.

    Raises:
        UserError: If the run does not say what that is.
        WeightsError: If it cannot be made, as its files are not here.
    """
    if not data.get("dataset"):
        raise UserError(f"{run} does not say what its data are")
    own = {"dataset": data["dataset"]}
    with untrusted(trust), unusable(run, "data set"):
        check_named(
            LightningDataModule, {"class_path": import_path(SegmentationDataModule), "init_args": own}
        )
        dataset: SegmentationDataset = instantiate_module(SegmentationDataModule, own).dataset("val")
    return dataset


def _crop(data: Json) -> tuple[int, int] | None:
    """The size (H, W) in the files of what a training crop shows, if that is known."""
    crop = data.get("crop_size")
    scale = data.get("scale", 1.0)
    return None if crop is None else (round(crop[0] / scale), round(crop[1] / scale))


def of_one_size(
    images: Iterable[Photo | ReadablePath],
    source: str,
    count: int,
    folder: Path,
    reading: Reading,
    size: tuple[int, int] | None = None,
) -> BenchImages:
    """So many of some images that have the size of the first, or that are brought to a size.

    Args:
        images: Files, or images (H, W, C) that are written into files.
        source: What they are, in words.
        count: How many files are wanted.
        folder: Where files are written.
        reading: How the model reads them.
        size: The size (H, W) that they are brought to.

    Raises:
        UsageError: If an image cannot be written as PNG.
        ValueError: If a file is no image of so many channels.
    """
    files: list[ReadablePath] = []
    wanted = size
    for number, image in enumerate(islice(images, MOST)):
        if isinstance(image, np.ndarray):
            photo, file = image, None
        else:
            photo, file = read_image(image, reading.value_range, reading.channels), image
        own = (photo.shape[0], photo.shape[1])
        wanted = wanted or own
        if own == wanted and file:
            files.append(file)
        elif own == wanted or size:
            files.append(_written(photo, wanted, folder / f"{number}.png", reading))
    if wanted is None:
        raise UsageError("expected at least one image, found none", "images")
    return BenchImages(list(islice(cycle(files), count)), wanted, f"{source}, resized" if size else source)


def _read(dataset: SegmentationDataset) -> Iterator[Photo | ReadablePath]:
    """The files of a dataset's images, or the images where they have none, or other channels than these."""
    for index in range(len(dataset)):
        file = dataset.photo(index) if dataset.depth_limit is None else None
        yield file or dataset.read(index).image


def _written(photo: Photo, size: tuple[int, int], path: Path, reading: Reading) -> Path:
    """Writes an image at a size (H, W) as PNG, or as an array where it has more channels than RGB.

    Raises:
        UsageError: If the file would be read in another way.
    """
    channels = photo.shape[2]
    if photo.dtype not in (np.uint8, np.uint16) or channels != reading.channels or reading.value_range:
        raise UsageError(
            f"expected {reading.channels} channels of 8 or 16 bits without a value range to resize, found "
            f"{channels} of {photo.dtype}: name files of the wanted size",
            "images",
        )
    resized: Any = resized_image(photo, size)
    if channels == 3:
        write_png(path, resized)
        return path
    array = path.with_suffix(".npy")
    with replacing(array) as draft:
        np.save(draft, resized)
    return array
