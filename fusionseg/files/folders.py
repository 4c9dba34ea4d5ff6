"""Finds the files of a folder and of all folders below it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(folder: Path, enters: Callable[[Path], bool] = lambda _: True) -> Iterator[Path]:
    """The files of a folder and of all below it, sorted by name within each folder.

    Links are followed, but not in circles. Files and folders that begin with a dot are hidden: they and what
    is in them are left out.

    Args:
        folder: The folder.
        enters: Whether a folder below it is searched.
    """
    yield from _below(folder, enters, frozenset())


def _below(folder: Path, enters: Callable[[Path], bool], above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    for entry in visible:
        path = folder / entry.name
        if entry.is_file():
            yield path
        elif entry.is_dir() and enters(path):
            yield from _below(path, enters, above | {real})
