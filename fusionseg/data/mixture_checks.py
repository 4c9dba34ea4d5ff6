"""Checks of the parts of a mixture, and what they have in common."""

import math
import re
from collections.abc import Collection, Mapping
from typing import get_args

from fusionseg.data.base import DataError, SegmentationDataset
from fusionseg.data.merged_classes import Counting


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


def unit_notices(parts: Mapping[str, SegmentationDataset]) -> list[str]:
    """A line for each kind of labels that parts have in different units."""
    lines = []
    for kind in dict.fromkeys(kind for part in parts.values() for kind in part.kinds):
        units = {n: part.units.get(kind, "no stated unit") for n, part in parts.items() if kind in part.kinds}
        if len(set(units.values())) > 1:
            found = ", ".join(f"{unit} in {name}" for name, unit in units.items())
            lines.append(f"{kind} is mixed of values in different units ({found}), as if they were one")
    return lines


def channels_of(parts: Mapping[str, SegmentationDataset]) -> int:
    """The number of channels that all parts share; a DataError where they differ."""
    if len(channels := {part.channels for part in parts.values()}) > 1:
        found = ", ".join(f"{part.channels} in {name}" for name, part in parts.items())
        raise DataError(f"expected images of the same number of channels in all parts, found {found}")
    return channels.pop()
