"""Images to predict as people have them: files, PIL images, arrays and tensors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from PIL import Image

from fusionseg.config.errors import UserError
from fusionseg.files.archive_path import ArchivePath
from fusionseg.files.photos import Photo, ValueRange, in_range, read_image
from fusionseg.files.readable_path import as_path
from fusionseg.sample import Array

AnyImage: TypeAlias = str | Path | ArchivePath | Image.Image | Array | torch.Tensor
"""A file on disk or in an archive, a PIL image, an array (H, W), (H, W, 1) or (H, W, C), or a tensor
(C, H, W)."""


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
    return isinstance(given, str | Path | ArchivePath | Image.Image | np.ndarray | torch.Tensor)


def named_photo(
    image: AnyImage, number: int, channels: int = 3, value_range: ValueRange | None = None
) -> NamedPhoto:
    """An image as networks take it, named after its file or its number.

    Grey images of one channel become gray in all three of RGB. Floats without a range have to lie in [0, 1].

    Args:
        image: The image.
        number: Its number, which names what has no file.
        channels: The channels that the network takes.
        value_range: As in `in_range`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image, or one of other channels or values.
    """
    if isinstance(image, str | Path | ArchivePath):
        path = as_path(image)
        if not path.is_file():
            raise FileNotFoundError(f"expected an image, found no file {image}")
        return NamedPhoto(path.stem, read_image(path, value_range, channels))
    name = f"image_{number}"
    values = _values(image, name, channels)
    if values.dtype.kind == "f" and value_range is None:
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise UserError(
                f"expected floats in [0, 1] in {name}, found {values.min():g} to {values.max():g}: give "
                "value_range, the two values that are black and white"
            )
        return NamedPhoto(name, values.astype(np.float32))
    return NamedPhoto(name, in_range(values, value_range, name))


def at_scale(photo: Photo, scale: float) -> torch.Tensor:
    """An image (H, W, C) as a tensor (C, h, w) of `scale` times its height and width."""
    height, width = photo.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = photo if scale == 1 else cv2.resize(photo, size, interpolation=method)
    return torch.from_numpy(scaled.reshape(*scaled.shape[:2], -1)).permute(2, 0, 1)


def batches(photos: Iterator[NamedPhoto], size: int) -> Iterator[list[NamedPhoto]]:
    """The images, so many at a time."""
    batch: list[NamedPhoto] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _values(image: Any, name: str, channels: int) -> Array:
    """The values (H, W, C) of an image in memory.

    Raises:
        ValueError: If it is no image of so many channels.
    """
    if isinstance(image, Image.Image):
        grey = image.mode.startswith(("I", "F"))
        image = np.asarray(image if grey or channels != 3 else image.convert("RGB"))
    elif isinstance(image, torch.Tensor):
        if image.ndim != 3:
            raise UserError(f"expected a tensor (C, H, W) in {name}, found {tuple(image.shape)}")
        image = image.detach().cpu().permute(1, 2, 0).numpy()
    elif not isinstance(image, np.ndarray):
        raise UserError(
            "expected a path, a PIL image, an array (H, W, C) or a tensor (C, H, W), found "
            f"{type(image).__name__}"
        )
    values = image[..., None] if image.ndim == 2 else image
    if values.ndim == 3 and values.shape[2] == 1 and channels == 3:
        values = values.repeat(3, 2)
    if values.ndim != 3 or values.shape[2] != channels or not values.size or values.dtype.kind not in "uif":
        kind = " (a tensor is (C, H, W))" if values.ndim == 3 and values.shape[0] == channels else ""
        raise UserError(
            f"expected numbers (H, W, {channels}) in {name}, found {values.dtype} {values.shape}{kind}"
        )
    return np.require(values, requirements=["C", "W"])
