"""Reads `classes.yaml`, in which a folder of images declares its classes and how its files are to be read."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from unicodedata import normalize

import yaml

from fusionseg.data.base import DataError
from fusionseg.files.photos import ValueRange
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Classes, Color
from fusionseg.visualize import color


class Declaration(NamedTuple):
    """What `classes.yaml` declares.

    Attributes:
        classes: The classes, and what a region is.
        void: The void id of the files of class ids.
        channels: Channels of an image.
        background: Whether region 0 is a region and not void.
        value_range: The values of images of more than 8 bits that are black and white.
    """

    classes: Classes
    void: int
    channels: int
    background: bool
    value_range: ValueRange | None


def declaration(path: ReadablePath, layout: str) -> Declaration:
    """The content of `classes.yaml`.

    Args:
        path: The file.
        layout: The layout of the dataset on disk, for the message.

    Raises:
        DataError: It has another content.
    """
    try:
        declared = _declared(yaml.safe_load(path.read_bytes()))
    except (
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        ValueError,
        RecursionError,
    ) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise DataError(
            f"expected classes as below, found something else in {path} ({reason})\n{layout}"
        ) from error
    if not len(declared.classes) <= declared.void <= 255:
        raise DataError(
            f"expected a void id in {len(declared.classes)}..255, after those of the classes, found "
            f"{declared.void} in {path}"
        )
    if declared.channels < 3:
        raise DataError(
            f"expected at least 3 channels (gray photos are read as RGB), found {declared.channels} in {path}"
        )
    return declared


def _declared(content: Any) -> Declaration:
    """The declaration in what the file holds."""
    entries = content["classes"]
    background = _background(content.get("background"))
    region = content.get("region", "an area with an id of its own")
    return Declaration(
        classes=Classes(
            names=tuple(normalize("NFC", str(entry["name"])) for entry in entries),
            colors=tuple(_color(entry.get("color") or color(i)) for i, entry in enumerate(entries)),
            things=tuple(i for i, entry in enumerate(entries) if entry.get("thing", False)),
            region=f"{region}, or the background" if background else str(region),
        ),
        void=int(content.get("void", VOID)),
        channels=int(content.get("channels", 3)),
        background=background,
        value_range=_value_range(content.get("value_range")),
    )


def _color(values: Iterable[int]) -> Color:
    """A color, checked."""
    red, green, blue = (int(value) for value in values)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"expected a color of three values in 0..255, found {values}")
    return red, green, blue


def _background(value: object) -> bool:
    """Whether region 0 is a region."""
    if value is not None and (value != 0 or isinstance(value, bool)):
        raise ValueError(f"expected background: 0, as other ids are regions anyway, found {value}")
    return value is not None


def _value_range(values: Sequence[float] | None) -> ValueRange | None:
    """A value range, checked."""
    if values is None:
        return None
    low, high = map(float, values)
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"expected a value_range of two numbers, low and high, found {values}")
    return low, high
