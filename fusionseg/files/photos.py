"""Reads photos as they are stored, of 8 or 16 bits or floats, in every raster format that Pillow decodes."""

import functools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from fusionseg.config.errors import UserError
from fusionseg.config.remedies import or_windows
from fusionseg.files.bit_depth import color_bits
from fusionseg.files.orientation import as_stored, turned
from fusionseg.files.readable_path import ReadablePath, as_path
from fusionseg.sample import Array

# large aerial photos are legitimate; Pillow still refuses images of more than twice its limit
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Photo: TypeAlias = npt.NDArray[np.uint8 | np.uint16 | np.float32]
"""An image (H, W, C) whose values fill the range of their type, that of floats being [0, 1]."""

ValueRange: TypeAlias = tuple[float, float]
"""The values of an image of more than 8 bits that stand for 0 and 1."""

_NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow recognizes without decoding them, or decodes by another program."""

_LAYERED = ("MPO", "PSD")
"""Formats whose further frames (depth, gain map, layers) belong to the first one."""


@functools.cache
def photo_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of what `read_image` reads: formats that Pillow decodes, and arrays."""
    kinds = Image.registered_extensions()
    decoded = {s for s, kind in kinds.items() if kind in Image.OPEN and kind not in _NOT_DECODED}
    return frozenset(decoded | {".npy"})


def read_image(path: str | ReadablePath, value_range: ValueRange | None = None, channels: int = 3) -> Photo:
    """Reads a photo (H, W, C) on the grid of its stored pixels: an EXIF orientation is not applied.

    Args:
        path: An image of a raster format that Pillow decodes, or an array (`.npy`).
        value_range: As in `in_range`.
        channels: 3 for RGB and 1 for gray, to which other colors are converted; for others, the file's own
            channels.

    Raises:
        ValueError: If the file is damaged, cannot be decoded, has several pages, values without a range or
            another number of channels.
    """
    known = None
    path = as_path(path)
    if path.suffix.lower() == ".npy":
        values = read_array(path)
    else:
        with opened(path) as image, decoding(path):
            known = _range_of(image, path)
            values = _values(image, path, channels)
    if values.dtype.kind not in "uif" or values.ndim != 3 or values.shape[2] != channels:
        found = f"{values.dtype} {values.shape} in {path}"
        raise UserError(
            f"expected numbers (H, W, {channels}), found {found}: mind `channels` of the data set, or "
            "convert the file"
        )
    return in_range(values, value_range or known, path)


def read_array(path: ReadablePath) -> Array:
    """The array in a file (`.npy`).

    Raises:
        ValueError: If the file is damaged or holds something else.
    """
    with path.open("rb") as file, decoding(path):
        return np.asarray(np.load(file, allow_pickle=False))


def as_gray(values: Array) -> Array:
    """RGB values (H, W, 3) as gray ones (H, W, 1), exactly the same where all three are equal integers.

    Those of 8 or 16 bits without sign keep their type, and all others become float32.
    """
    kind = values.dtype.newbyteorder("=")
    values = values.astype(kind if kind in (np.uint8, np.uint16) else np.float32, copy=False)
    return cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)[..., None]


def in_range(values: Array, value_range: ValueRange | None, path: str | ReadablePath) -> Photo:
    """The values of an image so that they fill the range of their type.

    Values of 8 bits are left as they are. Those of 16 bits without sign stay so, others become float32.

    Args:
        values: What a file holds.
        value_range: The values that stand for 0 and 1, by default all of 16 bits; others are clipped.
        path: The file, for the message.

    Raises:
        ValueError: If values of a type without limits have no range, or some are not finite.
    """
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == np.uint8 or (values.dtype == np.uint16 and value_range is None):
        return values
    if value_range is None:
        raise UserError(
            f"expected 8 or 16 bits for each channel in {path}, found {values.dtype}, which has no range: "
            "declare the values that are black and white (value_range, in classes.yaml or of predict)"
        )
    check_finite(values, path)
    low, high = value_range
    unit = ((values.astype(np.float32) - low) / (high - low)).clip(0, 1)
    return np.rint(unit * 65535).astype(np.uint16) if values.dtype == np.uint16 else unit


def check_finite(values: Array, path: str | ReadablePath) -> None:
    """Raises a UserError if values of a file are NaN or infinite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        found = "NaN" if np.isnan(values).any() else "infinity"
        raise UserError(f"expected finite values in {path}, found {found}: fill the pixels without data")


@contextmanager
def opened(path: str | ReadablePath) -> Iterator[Image.Image]:
    """An image file whose pixels are read on first use.

    Raises:
        ValueError: If it is no image, or one of several pages.
    """
    with as_path(path).open("rb") as file:
        with decoding(path):
            image = Image.open(file)
            frames = 1 if image.format in _LAYERED else getattr(image, "n_frames", 1)
        if frames > 1:
            raise UserError(
                f"expected one image in {path}, found {frames} pages: write each to a file of its own"
            )
        yield image


def raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, such as `L;4` or `RGB;16B`; empty where that is not known."""
    arguments = image.tile[0].args if isinstance(image, ImageFile) and image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


@contextmanager
def decoding(path: str | ReadablePath) -> Iterator[None]:
    """Turns any error of a library that decodes a file into one that names the file.

    Raises:
        ValueError: If the file is damaged, or of a kind that cannot be decoded.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # the readers of a dozen formats document no common base
        reason: Exception | None = error
        if isinstance(error, UnidentifiedImageError):
            reason = _why_unidentified(as_path(path))
        if isinstance(reason, Image.DecompressionBombError):
            remedy = or_windows(path, "make it smaller")
            message = f"{path} is too large to be read as a whole ({reason}): {remedy}"
        elif reason is None:
            message = f"{path} is no image of a known format: convert it to PNG, JPEG or TIFF"
        elif isinstance(reason, NotImplementedError) or re.search(
            "support|available|unknown|limit|cannot|loader|locate|pickled",
            str(reason),
            re.IGNORECASE,
        ):
            message = f"{path} cannot be decoded ({reason}): convert it to an ordinary PNG, JPEG or TIFF"
        else:
            found = str(reason) or type(reason).__name__
            message = f"{path} is no complete image file ({found}): download or copy it again"
        raise UserError(message) from error


def _why_unidentified(path: ReadablePath) -> Exception | None:
    """The error of the format that a file begins like; None where there is no such format."""
    with path.open("rb") as file:
        start = file.read(16)
        if len(start) < 16:
            return EOFError(f"{len(start)} bytes")
        for factory, accepts in Image.OPEN.values():
            if accepts is None or accepts(start) is not True:
                continue
            try:
                file.seek(0)
                factory(file, str(path))
            except Exception as error:
                return error
    return None


def _values(image: Image.Image, path: ReadablePath, channels: int) -> Array:
    """The values (H, W, C) of an image in the file's own number of bits."""
    applied = turned(image)
    deep = _is_deep(image, path)
    image.load()
    if deep:
        values = _deep_values(path, channels)
    elif image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I"):
        values = np.array(image).astype(np.uint16)
    elif image.mode in ("I", "F") or channels > 3:
        values = np.array(image)
    else:
        opaque = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
        # of RGB it would make a copy
        values = np.array(opaque if opaque.mode == "RGB" else opaque.convert("RGB"))
    if values.ndim == 2 and channels <= 3:
        values = np.repeat(values[..., None], 1 if channels == 1 else 3, axis=2)
    elif channels == 1:
        values = as_gray(values)
    return as_stored(values, applied)


def _is_deep(image: Image.Image, path: ReadablePath) -> bool:
    """Whether a file has colors of 16 bits, of which Pillow would keep 8."""
    deep = image.format in ("PNG", "TIFF") and ";16" in raw_mode(image)
    return image.mode in ("RGB", "RGBA", "LA") and (deep or (_range_of(image, path) or (0, 0))[1] > 255)


def _range_of(image: Image.Image, path: ReadablePath) -> ValueRange | None:
    """The value range that the file itself declares, where Pillow does not apply it."""
    if image.format == "PPM" and image.mode == "RGB" and isinstance(image, ImageFile):
        arguments = image.tile[0].args if image.tile else None
        return (0.0, float(arguments[1])) if isinstance(arguments, tuple) else None
    bits = color_bits(path, image.format) if image.mode in ("RGB", "RGBA", "LA") else 8
    if bits > 8:
        return (0.0, 2.0**bits - 1)
    return (0.0, 4095.0) if raw_mode(image) == "I;12" else None


def _deep_values(path: ReadablePath, channels: int) -> Array:
    """The colors (H, W, C) of a file of 16 bits, by OpenCV, which has blue first."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise NotImplementedError("colors of 16 bits are not supported here")
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2] if channels > 3 else 3]])
