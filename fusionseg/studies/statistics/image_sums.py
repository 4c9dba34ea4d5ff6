"""The sums of every image of an evaluation as the rows of a sparse matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse


@dataclass(frozen=True)
class ImageSums:
    """The additive sums of the images of an evaluation.

    Attributes:
        names: The name of each image.
        rows: The sums, one row an image (N, K), float64, a `scipy.sparse.csr_array`; the cells of all sums
            stand one after the other.
        shapes: The shape of each sum, in the order of its columns.
    """

    names: tuple[str, ...]
    rows: Any
    shapes: Mapping[str, tuple[int, ...]]

    def named(self, added: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Added rows by their names and in their shapes, as `MetricSuite.figures` takes them.

        Args:
            added: Added rows (K,), such as of a resample.
        """
        sums = {}
        start = 0
        for name, shape in self.shapes.items():
            stop = start + int(np.prod(shape))
            sums[name] = added[start:stop].reshape(shape)
            start = stop
        return sums


def image_sums(path: Path) -> ImageSums:
    """Reads the sums that `evaluate` has written.

    Args:
        path: The file `evaluation/<split>.npz` of a run.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is no file of sums.
    """
    with np.load(path) as file:
        if "name" not in file:
            raise ValueError(
                f"{path}: expected the sums of images that `evaluate` writes, found {file.files}"
            )
        names = tuple(map(str, file["name"]))
        tables = [key.removesuffix(".shape") for key in file.files if key.endswith(".shape")]
        shapes = {key: file[key].shape[1:] for key in file.files if key != "name" and "." not in key}
        blocks = [sparse.csr_array(file[key].reshape(len(names), -1).astype(np.float64)) for key in shapes]
        for table in tables:
            shapes[table] = tuple(file[f"{table}.shape"].tolist())
            blocks.append(_table_rows(file, table, len(names), shapes[table]))
    return ImageSums(names, sparse.hstack(blocks, format="csr"), shapes)


def _table_rows(file: Any, name: str, images: int, shape: tuple[int, ...]) -> Any:
    """The cells of a table that are not 0, one row an image."""
    cells = file[f"{name}.cell"].astype(np.int64)
    columns = np.ravel_multi_index(tuple(cells[:, 1:].T), shape)
    values = file[f"{name}.value"].astype(np.float64)
    return sparse.csr_array((values, (cells[:, 0], columns)), shape=(images, int(np.prod(shape))))
