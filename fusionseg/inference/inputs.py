"""Images to predict as people have them: files, PIL images, arrays and tensors."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.data.input_size import InputSize, resized_image
from fusionseg.files.archive_path import ArchivePath
from fusionseg.files.atomic import Json
from fusionseg.files.large_tiff import LargeTiff
from fusionseg.files.photos import Photo, ValueRange, as_gray, check_finite, in_range, read_array, read_image
from fusionseg.files.readable_path import ReadablePath, as_path
from fusionseg.files.surface_maps import MILLIMETER, in_meters, read_depth, with_depth
from fusionseg.sample import Array

Item = TypeVar("Item")

PlainImage: TypeAlias = str | Path | ArchivePath | Image.Image | Array | torch.Tensor
"""A file on disk or in an archive, a PIL image, an array (H, W), (H, W, 1) or (H, W, C), or a tensor
(C, H, W)."""


class PhotoWithDepth(NamedTuple):
    """An image and its depth, for models that take depth as their last channel.

    >>> PhotoWithDepth("photo.jpg", "depth.png").step
    0.001

    Args:
        photo: The image without depth.
        depth: A file, on disk or in an archive, of 16-bit gray values or of an array, or an array (H, W):
            integers, or floats in meters; 0 where it is not known.
        step: Meters of an integer's 1.
    """

    photo: PlainImage
    depth: str | Path | ArchivePath | Array
    step: float = MILLIMETER


AnyImage: TypeAlias = PlainImage | PhotoWithDepth
"""One image."""


class NamedPhoto(NamedTuple):
    """An image, and a name for its output.

    Args:
        name: The name, without suffix.
        photo: The image (H, W, C).
    """

    name: str
    photo: Photo


def is_image(given: object) -> bool:
    """Whether something is one image rather than several."""
    kinds = str | Path | ArchivePath | Image.Image | np.ndarray | torch.Tensor | PhotoWithDepth
    return isinstance(given, kinds)


def named_photo(
    image: AnyImage,
    number: int,
    channels: int = 3,
    value_range: ValueRange | None = None,
    depth_limit: float | None = None,
) -> NamedPhoto:
    """An image as networks take it, named after its file or its number.

    Gray images of one channel become gray in all three of RGB, and RGB gray for networks of one channel.
    Floats without a range have to lie in [0, 1]. A file of an array (`.npy`) is read as the array is.

    Args:
        image: The image.
        number: Its number, which names what has no file.
        channels: The channels that the network takes.
        value_range: As in `in_range`.
        depth_limit: As of `SegmentationDataset`, where the network takes depth as its last channel.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image, or one of other channels or values.
    """
    if isinstance(image, PhotoWithDepth):
        return _with_depth(image, number, channels, value_range, depth_limit)
    if depth_limit is not None:
        value_range = None  # with depth in it, an image fills its 16 bits already
    if not isinstance(image, str | Path | ArchivePath):
        name = f"image_{number}"
        return NamedPhoto(name, _in_memory(image, name, channels, value_range, depth_limit))
    path = as_path(image)
    if not path.is_file():
        raise FileNotFoundError(f"expected an image, found no file {image}")
    if path.suffix.lower() == ".npy":
        values = read_array(path)
        return NamedPhoto(path.stem, _in_memory(values, str(path), channels, value_range, depth_limit))
    with _depth_missing(depth_limit):
        photo = _photo(path, value_range, channels)
        if depth_limit is not None and photo.dtype == np.uint8:
            raise UserError(f"expected {channels} channels of 16 bits in {image}, found 8")
    return NamedPhoto(path.stem, photo)


def _photo(path: ReadablePath, value_range: ValueRange | None, channels: int) -> Photo:
    """The image in a file; a TIFF file of more channels than Pillow decodes is read by tifffile, if there."""
    many = channels > 4 and path.suffix.lower() in (".tif", ".tiff")
    if many and isinstance(path, Path) and find_spec("tifffile"):
        with LargeTiff(path, channels, value_range) as tiff:
            return tiff.window(0, 0, tiff.height, tiff.width)
    return read_image(path, value_range, channels)


def input_size(settings: Json) -> InputSize:
    """The size at which a network sees an image, by the settings of a predictor."""
    return InputSize(settings["scale"], settings.get("resize"))


def as_input(photo: Photo, settings: Json) -> torch.Tensor:
    """An image (H, W, C) as a tensor (C, h, w) of the size at which the network sees it."""
    size = input_size(settings).of((photo.shape[0], photo.shape[1]))
    return torch.from_numpy(resized_image(photo, size)).permute(2, 0, 1)


def batches(images: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The images, so many at a time."""
    batch: list[Item] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _with_depth(
    image: PhotoWithDepth,
    number: int,
    channels: int,
    value_range: ValueRange | None,
    depth_limit: float | None,
) -> NamedPhoto:
    """An image with depth as its last channel.

    Raises:
        UserError: If the network takes no depth, or depth and image do not fit together.
    """
    if depth_limit is None:
        raise UserError("expected an image without depth, as the model takes none: leave depth out")
    name, photo = named_photo(image.photo, number, channels - 1, value_range)
    if isinstance(image.depth, str | Path | ArchivePath):
        where = str(image.depth)
        depth = read_depth(as_path(image.depth), image.step)
    else:
        where = name
        depth = in_meters(np.asarray(image.depth), name, image.step)
    try:
        return NamedPhoto(name, with_depth(photo, depth, depth_limit))
    except UserError as error:
        raise UserError(f"{error} ({where})") from error


@contextmanager
def _depth_missing(depth_limit: float | None) -> Iterator[None]:
    """Adds to an error of an image's channels that the network takes depth, where it does."""
    try:
        yield
    except UserError as error:
        if depth_limit is None:
            raise
        remedy = "the model takes depth as its last channel: give it (predict --depth, PhotoWithDepth)"
        raise UserError(f"{error}; {remedy}") from error


def _in_memory(
    image: Any, name: str, channels: int, value_range: ValueRange | None, depth_limit: float | None
) -> Photo:
    """The photo of an image in memory, or in a file of an array; messages call it by a name.

    Raises:
        UserError: If it is no image, or one of other channels or values.
    """
    with _depth_missing(depth_limit):
        values = _values(image, name, channels)
        if depth_limit is not None and values.dtype == np.uint8:
            raise UserError(f"expected {channels} channels of 16 bits in {name}, found 8")
    if values.dtype.kind != "f" or value_range is not None:
        return in_range(values, value_range, name)
    check_finite(values, name)
    if values.min() < 0 or values.max() > 1:
        raise UserError(
            f"expected floats in [0, 1] in {name}, found {values.min():g} to {values.max():g}: give "
            "value_range, the two values that are black and white"
        )
    return values.astype(np.float32)


def _values(image: Any, name: str, channels: int) -> Array:
    """The values (H, W, C) of an image in memory.

    Raises:
        ValueError: If it is no image of so many channels.
    """
    if isinstance(image, Image.Image):
        gray = image.mode.startswith(("I", "F"))
        image = np.asarray(image if gray or channels not in (1, 3) else image.convert("RGB"))
    elif isinstance(image, torch.Tensor):
        if image.ndim != 3:
            raise UserError(f"expected a tensor (C, H, W) in {name}, found {tuple(image.shape)}")
        image = image.detach().cpu().permute(1, 2, 0)
        image = (image.float() if image.dtype == torch.bfloat16 else image).numpy()  # numpy has no bfloat16
    elif not isinstance(image, np.ndarray):
        raise UserError(
            "expected a path, a PIL image, an array (H, W, C) or a tensor (C, H, W), found "
            f"{type(image).__name__}"
        )
    values = image[..., None] if image.ndim == 2 else image
    if values.ndim == 3 and values.shape[2] == 1 and channels == 3:
        values = values.repeat(3, 2)
    if values.ndim == 3 and values.shape[2] == 3 and channels == 1 and values.dtype.kind in "uif":
        values = as_gray(values)
    if values.ndim != 3 or values.shape[2] != channels or not values.size or values.dtype.kind not in "uif":
        kind = " (a tensor is (C, H, W))" if values.ndim == 3 and values.shape[0] == channels else ""
        raise UserError(
            f"expected numbers (H, W, {channels}) in {name}, found {values.dtype} {values.shape}{kind}"
        )
    return np.require(values, requirements=["C", "W"])
