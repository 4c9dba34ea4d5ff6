"""Reads arrays of HDF5 files, such as those of MATLAB's format 7.3, a part at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UsageError, UserError
from fusionseg.sample import Array


def h5py() -> Any:
    """The module h5py.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return import_module("h5py")
    except ImportError as error:
        raise UsageError('MATLAB files of format 7.3 take h5py: pip install "fusionseg[nyu]"') from error


class HDF5File:
    """The arrays of a file, which each process opens once, when it first reads a part.

    It can be pickled, and used in processes that were forked after it was opened, where HDF5's own handles
    can not.

    Args:
        path: The file.

    Raises:
        UsageError: If h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        h5py()
        self.path = path
        self._process = -1
        self._handle: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_process": -1, "_handle": None}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the arrays in the top group by name.

        Raises:
            UserError: If the file is no HDF5 file, or cut short.
            OSError: If there is no such file.
        """
        with self._reading():
            known = {name: self._opened()[name] for name in self._opened()}
        return {name: each.shape for name, each in known.items() if hasattr(each, "shape")}

    def part(self, name: str, index: int) -> Array:
        """An array's part at an index of its first axis.

        Raises:
            UserError: If it cannot be read.
        """
        with self._reading():
            values: Array = self._opened()[name][index]
        return values

    def texts(self, name: str) -> list[str]:
        """The texts of a cell array of MATLAB, which HDF5 files hold as references to arrays of characters.

        Raises:
            UserError: If they cannot be read.
        """
        with self._reading():
            file = self._opened()
            return ["".join(map(chr, file[cell][:].ravel())) for cell in file[name][:].ravel()]

    def _opened(self) -> Any:
        """The file's handle in this process."""
        if self._process != os.getpid():
            # in this order: another thread may see the process's number as soon as it is set
            self._handle = h5py().File(self.path, "r", locking="best-effort")
            self._process = os.getpid()
        return self._handle

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turns errors of the library into those of the file."""
        try:
            yield
        except (FileNotFoundError, UserError):
            raise
        except (OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.path} is no complete HDF5 file with these arrays ({error}): download it again"
            ) from error
