"""Surface normals of files that do not say along which axes theirs are."""

from typing import TypeAlias

import numpy as np

from fusionseg.data.base import DataError, LabelMap
from fusionseg.files.readable_path import ReadablePath
from fusionseg.files.surface_maps import read_normals

Signs: TypeAlias = tuple[int, int, int]
"""What x, y and z of the normals in files are multiplied by: 1 or -1 each."""


def check_signs(signs: Signs) -> None:
    """Raises a ValueError unless all signs are 1 or -1."""
    if not {*signs} <= {1, -1}:
        raise ValueError(f"expected normal_signs of 1 and -1, found {tuple(signs)}")


def normals_along(path: ReadablePath, signs: Signs) -> LabelMap:
    """The normals (H, W, 3) of a file along the axes of `Pixels`, 0 where they are not known.

    Args:
        path: The file.
        signs: What turns the axes of the file around.

    Raises:
        DataError: Most of them point away from the camera.
    """
    normals: LabelMap = read_normals(path) * np.array(signs, np.float32)
    if (normals[..., 2] > 0).sum() > (normals[..., 2] < 0).sum():
        raise DataError(
            f"expected normals towards the camera in {path} (x right, y down, z away), found most of them "
            "away from it: set normal_signs"
        )
    return normals
