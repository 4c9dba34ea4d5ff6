"""Finds the files of a folder and of all folders below it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(
    folder: Path,
    enters: Callable[[Path], bool] = lambda _: True,
    hidden: Callable[[Path], object] = lambda _: None,
) -> Iterator[Path]:
    """The files of a folder and of all below it, sorted by name within each folder.

    Links are followed, but not in circles. Files and folders that begin with a dot are hidden: they and what
    is in them are left out.

    Args:
        folder: The folder.
        enters: Whether a folder below it is searched.
        hidden: Called with each file or folder that is left out because it is hidden.
    """
    yield from _below(folder, enters, hidden, frozenset())


def _below(
    folder: Path, enters: Callable[[Path], bool], hidden: Callable[[Path], object], above: frozenset[str]
) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = folder / entry.name
        if entry.name.startswith("."):
            hidden(path)
        elif entry.is_file():
            yield path
        elif entry.is_dir() and enters(path):
            yield from _below(path, enters, hidden, above | {real})
