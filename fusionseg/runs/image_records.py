"""The figures and sums of every image of an evaluation, kept on disk, so that many take no memory."""

import csv
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fusionseg.files.atomic import replacing
from fusionseg.metrics.suite import total
from fusionseg.sample import Array, Counted

TEXTS = ("name", "group")
"""The arrays of an NPZ file that are no sums."""


class ImageRecords:
    """Collects images one by one in temporary files, and writes them as a CSV and an NPZ file.

    A sum with one axis is in the NPZ file as it is, one row an image (N, K). Of a table, most of whose cells
    are 0, such as a confusion matrix, the others are listed: `<sum>.cell` (E, 1 + axes) says of which image
    and where in its table each is, `<sum>.value` (E,) what it holds, `<sum>.shape` how large the table is.

    Where images belong to groups, a column and an array `group` say to which; empty for an image of none.

    Args:
        folder: Where the temporary files lie; they are gone when the object is closed or the process dies.

    Attributes:
        total: The added sums of all images.
        count: The number of images.
    """

    def __init__(self, folder: Path) -> None:
        self._made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.total: Counted = {}
        self.count = 0
        self._figures: IO[Any] = tempfile.TemporaryFile(  # noqa: SIM115 (closed in `close`)
            "w+", dir=folder, encoding="utf-8"
        )
        self._columns = {"name": None}
        self._arrays: dict[str, _Rows] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._widths = {"name": 1}

    def add(self, name: str, figures: Mapping[str, float], sums: Counted, group: str | None = None) -> None:
        """Adds an image.

        Args:
            name: Its name.
            figures: Its figures, a row of the CSV file.
            sums: Its sums.
            group: What it belongs to with others, if anything.
        """
        texts = {"name": name} if group is None else {"name": name, "group": group}
        for key, text in texts.items():
            self._widths[key] = max(self._widths.get(key, 1), len(text))
        row = {**texts, **figures}
        self._figures.write(json.dumps(row) + "\n")
        self._columns |= dict.fromkeys(row)
        self.total = total([self.total, sums])
        for key, value in sums.items():
            wide = value.astype(np.int64 if np.issubdtype(value.dtype, np.integer) else np.float64)
            if wide.ndim < 2:
                self._rows(key).add(wide[None])
                continue
            cells = np.argwhere(wide)
            self._shapes[key] = wide.shape
            self._rows(f"{key}.cell").add(np.insert(cells, 0, self.count, axis=1).astype(np.int32))
            self._rows(f"{key}.value").add(wide[tuple(cells.T)])
        self.count += 1

    def write_csv(self, path: Path) -> None:
        """Writes the figures, one row an image."""
        with replacing(path) as draft, draft.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self._columns))
            writer.writeheader()
            writer.writerows(self._read())

    def write_npz(self, path: Path) -> None:
        """Writes the names and sums, in the order of the images."""
        with ExitStack() as stack:
            texts = {key: stack.enter_context(closing(_Rows(self.folder))) for key in self._widths}
            for row in self._read():
                for key, rows in texts.items():
                    rows.add(np.array([row.get(key, "")], f"<U{self._widths[key]}"))
            with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
                for key, rows in {**texts, **self._arrays}.items():
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                        rows.copy(member)
                for key, shape in self._shapes.items():
                    with archive.open(f"{key}.shape.npy", "w") as member:
                        np.lib.format.write_array(member, np.array(shape))

    def close(self) -> None:
        """Removes the temporary files, and the folder if it was made for them and nothing is in it."""
        self._figures.close()
        for rows in self._arrays.values():
            rows.close()
        if self._made:
            with suppress(OSError):  # it is not empty
                self.folder.rmdir()

    def _read(self) -> Iterator[dict[str, Any]]:
        self._figures.seek(0)
        return map(json.loads, self._figures)

    def _rows(self, key: str) -> "_Rows":
        if key not in self._arrays:
            self._arrays[key] = _Rows(self.folder)
        return self._arrays[key]


class _Rows:
    """An array that grows along its first axis in a temporary file."""

    def __init__(self, folder: Path) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed in `close`)
        self.empty: Array = np.empty(0)
        self.length = 0

    def add(self, rows: Array) -> None:
        self.file.write(np.ascontiguousarray(rows).tobytes())
        self.empty = rows[:0]
        self.length += len(rows)

    def copy(self, member: IO[bytes]) -> None:
        """Writes the array in numpy's format."""
        header = np.lib.format.header_data_from_array_1_0(self.empty)
        header["shape"] = (self.length, *self.empty.shape[1:])
        np.lib.format.write_array_header_1_0(member, header)
        self.file.seek(0)
        shutil.copyfileobj(self.file, member)

    def close(self) -> None:
        self.file.close()


def added_sums(path: Path, images: Sequence[int] | npt.NDArray[np.integer] | None = None) -> Counted:
    """The added sums of some images of an evaluation, of which a `MetricSuite` computes their figures.

    Args:
        path: The file `<split>.npz`.
        images: Positions of the images, each once; all where left out.
    """
    with np.load(path) as file:
        chosen = np.arange(len(file["name"]))[slice(None) if images is None else np.asarray(images, np.int64)]
        sums: Counted = {}
        for key in file:
            name, _, part = key.rpartition(".")
            if part == "shape":
                cells = file[f"{name}.cell"]
                value = file[f"{name}.value"]
                kept = np.isin(cells[:, 0], chosen)
                sums[name] = np.zeros(file[key], value.dtype)
                np.add.at(sums[name], tuple(cells[kept, 1:].T), value[kept])
            elif not name and key not in TEXTS:
                sums[key] = file[key][chosen].sum(0)
    return sums
