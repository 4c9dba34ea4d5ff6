"""Finds the files of a folder and of all folders below it."""

import os
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from fusionseg.files.readable_path import ReadablePath

PathT = TypeVar("PathT", bound=ReadablePath)


def files_below(
    folder: PathT,
    enters: Callable[[PathT], bool] = lambda _: True,
    left_out: Callable[[PathT], object] = lambda _: None,
) -> Iterator[PathT]:
    """The files of a folder and of all below it, sorted by name within each folder.

    Links are followed, but not in circles. Files and folders that begin with a dot are hidden: they and what
    is in them are left out, and so are links that lead nowhere.

    Args:
        folder: The folder.
        enters: Whether a folder below it is searched.
        left_out: Called with each hidden file or folder, and with each link that leads nowhere.
    """
    yield from _below(folder, enters, left_out, frozenset())


def _below(
    folder: PathT, enters: Callable[[PathT], bool], left_out: Callable[[PathT], object], above: frozenset[str]
) -> Iterator[PathT]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for path, is_folder in _inside(folder):
        if path.name.startswith(".") or is_folder is None:
            left_out(path)
        elif not is_folder:
            yield path
        elif enters(path):
            yield from _below(path, enters, left_out, above | {real})


def _inside(folder: Any) -> Iterator[tuple[Any, bool | None]]:
    """The files and folders in a folder, sorted, and whether each is a folder; hidden ones whatever they are.

    For a link that leads nowhere that is None.

    A folder on disk is scanned, which tells the kinds of all at once.
    """
    if not isinstance(folder, Path):
        yield from ((path, path.is_dir()) for path in sorted(folder.iterdir(), key=attrgetter("name")))
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=attrgetter("name"))
    for entry in found:
        is_file = entry.is_file()
        if is_file or entry.name.startswith(".") or entry.is_dir():
            yield folder / entry.name, not is_file
        elif entry.is_symlink() and not os.path.exists(entry):
            yield folder / entry.name, None
