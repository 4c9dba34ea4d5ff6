"""A file with the features of a frozen encoder for many images, mapped into memory."""

import errno
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fusionseg.data.base import DataError
from fusionseg.files.atomic import replacing, write_json
from fusionseg.files.filled_once import fill_once

BYTES = 2
"""Bytes of a value, in bfloat16."""

_REMEDY = "set data.cache_dir to a larger disk or lower data.features.variants"


class FeatureFile:
    """The features of images in one file, which processes and runs on the same machine share.

    The file holds nothing but values, one image after the other. Beside it lies a JSON file with the `key` of
    what they depend on, and `ends`, the number of values up to the end of each image.

    Args:
        file: Where the values are.
        key: A hash of all that they depend on.

    Raises:
        DataError: The features depend on something else, such as other weights, or the file is cut off.
    """

    def __init__(self, file: Path, key: str) -> None:
        self.file = file
        found = json.loads(index_file(file).read_text(encoding="utf-8"))
        if found["key"] != key:
            raise DataError(
                f"expected features of this encoder, its weights and these views ({key}), found others "
                f"({found['key']}) in {file}: remove it and {index_file(file).name}"
            )
        self.ends = [0, *found["ends"]]
        size = file.stat().st_size if file.exists() else 0
        if size != BYTES * self.ends[-1]:
            raise DataError(
                f"expected {BYTES * self.ends[-1]} bytes of features, found {size} in {file}: remove "
                f"{index_file(file).name}, and they are computed again"
            )

    def __len__(self) -> int:
        return len(self.ends) - 1

    def read(self, index: int) -> Tensor:
        """The features of an image (N,) in bfloat16, mapped into memory; changes never reach the file."""
        start, end = self.ends[index : index + 2]
        values = np.memmap(self.file, np.int16, "c", BYTES * start, (end - start,))
        return torch.from_numpy(values.view(np.ndarray)).view(torch.bfloat16)


def filled(file: Path, key: str, features: Iterable[Tensor], room: int = 0) -> FeatureFile:
    """The file, which is written where it does not exist, by one of the processes that want it.

    Args:
        file: Where the values are, or will be.
        key: A hash of all that they depend on.
        features: Those of each image (N,) in bfloat16; computed only if they have to be written.
        room: Bytes that have to be free before it is written: its own, and those of files that come next.

    Raises:
        DataError: As `FeatureFile`, or the disk has no room.
    """

    def fill() -> None:
        _check_room(room, file.parent)
        ends = []
        end = 0
        try:
            with replacing(file) as draft, draft.open("wb") as out:
                for values in features:
                    out.write(values.cpu().view(torch.int16).numpy().tobytes())
                    end += len(values)
                    ends.append(end)
            write_json(index_file(file), {"key": key, "ends": ends})
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DataError(
                f"expected room for features, found none left in {file.parent} after {len(ends)} images: "
                f"{_REMEDY}"
            ) from error

    fill_once(index_file(file), fill)
    return FeatureFile(file, key)


def index_file(file: Path) -> Path:
    """The file that says where each image's features are; it is written last."""
    return file.with_suffix(".json")


def _check_room(size: int, folder: Path) -> None:
    """Raises a DataError unless so many bytes of features fit onto a folder's disk."""
    free = shutil.disk_usage(folder).free
    if size > 0.95 * free:
        raise DataError(
            f"expected room for {readable(size)} of features in {folder}, found {readable(free)} free: "
            f"{_REMEDY}"
        )


def readable(size: float) -> str:
    """A number of bytes in MiB or GiB.

    >>> readable(3 * 2**20), readable(1.5 * 2**30)
    ('3.00 MiB', '1.50 GiB')
    """
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.2f} MiB"
