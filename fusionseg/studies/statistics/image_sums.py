"""The sums of every image of an evaluation as the rows of a sparse matrix."""

import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

TEXTS = ("name", "group")
"""The arrays of an evaluation that are no sums."""


@dataclass(frozen=True)
class ImageSums:
    """The additive sums of the images of an evaluation.

    Attributes:
        names: The name of each image.
        rows: The sums, one row an image (N, K), float64, a `scipy.sparse.csr_array`; the cells of all sums
            stand one after the other.
        shapes: The shape of each sum, in the order of its columns.
        groups: The group of each image, an image without one being its own; None where no image has any.
    """

    names: tuple[str, ...]
    rows: Any
    shapes: Mapping[str, tuple[int, ...]]
    groups: tuple[str, ...] | None = None

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


def image_sums(path: Path, chosen: Collection[str] | None = None) -> ImageSums:
    """Reads the sums that `evaluate` has written.

    Args:
        path: The file `evaluation/<split>.npz` of a run.
        chosen: The names of the sums to read, such as "semantic" and "region"; all where left out. Histograms
            such as `scene_scores` are most of the work of a bootstrap.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is no file of sums, is damaged, or has no sum of a chosen name.
    """
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise ValueError(f"{path}: expected sums, found no or half an archive: evaluate the run again")
        stream.seek(0)
        try:
            with np.load(stream) as file:
                return _read(path, file, chosen)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(
                f"{path}: expected sums, found a damaged file ({error}): evaluate the run again"
            ) from error


def _read(path: Path, file: Any, chosen: Collection[str] | None) -> ImageSums:
    """The chosen sums of an open file."""
    if "name" not in file:
        found = ", ".join(file) or "nothing"
        raise ValueError(f"{path}: expected the sums of images that `evaluate` writes, found {found}")
    names = dict.fromkeys(key.partition(".")[0] for key in file if key not in TEXTS)
    if lacking := set(chosen or ()) - names.keys():
        raise ValueError(f"{path}: expected the sums {', '.join(sorted(lacking))}, found {', '.join(names)}")
    images = tuple(map(str, file["name"]))
    wanted = [name for name in names if chosen is None or name in chosen]
    rows = {name: _rows(file, name, len(images)) for name in wanted}
    shapes = {name: shape for name, (_, shape) in rows.items()}
    matrix = sparse.hstack([block for block, _ in rows.values()], format="csr")
    return ImageSums(images, matrix, shapes, _groups(file, images) if "group" in file else None)


def _groups(file: Any, images: tuple[str, ...]) -> tuple[str, ...]:
    """The group of each image; one without is its own."""
    stated = map(str, file["group"])
    return tuple(group or f"the image {name}" for group, name in zip(stated, images, strict=True))


def _rows(file: Any, name: str, images: int) -> tuple[Any, tuple[int, ...]]:
    """A sum, one row an image, and its shape; of a table the cells that are not 0 are listed."""
    if name in file:
        values = file[name].astype(np.float64)
        return sparse.csr_array(values.reshape(images, -1)), values.shape[1:]
    shape = tuple(file[f"{name}.shape"].tolist())
    cells = file[f"{name}.cell"].astype(np.int64)
    columns = np.ravel_multi_index(tuple(cells[:, 1:].T), shape)
    values = file[f"{name}.value"].astype(np.float64)
    return sparse.csr_array((values, (cells[:, 0], columns)), shape=(images, int(np.prod(shape)))), shape
