"""Atomic writes: a file or folder appears complete or not at all."""

import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from fusionseg.config.errors import UserError

Json: TypeAlias = dict[str, Any]
"""An object of a JSON file."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """The path of a draft in the same folder, which replaces the file when the block ends without an error.

    The folder is created if needed. The draft is flushed to disk before it replaces the file, and removed if
    the block fails.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "figures.txt"
    ...     with replacing(path) as draft:
    ...         _ = draft.write_text("0.9")
    ...     path.read_text()
    '0.9'

    Raises:
        UserError: If the path is that of a folder, a device or a pipe, which would be replaced.
        OSError: If the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or pipe"
        raise UserError(f"expected the path of a file to write, found {kind}: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # in the same folder, because only a move within one file system is atomic; the suffix tells writers the
    # format
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def check_new_folder(path: Path) -> None:
    """Raises a UserError unless the path is that of an empty folder, or of nothing."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        kind = "a folder that is not empty" if path.is_dir() else "a file"
        raise UserError(f"expected a new folder to write, found {kind}: {path}")


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """The same for a folder, which must not exist or be empty: it appears with all that is in it.

    Drafts of it that killed processes left are removed.

    Raises:
        UserError: If there is a file, or a folder that is not empty.
        OSError: If the folder cannot be written.
    """
    path = Path(path)
    check_new_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts_of(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.mkdir()
    try:
        yield draft
        os.replace(draft, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(folder: Path) -> None:
    """Removes the drafts that killed processes left in a folder and its subfolders."""
    for path in folder.rglob(".*"):
        found = re.fullmatch(r"\..+\.(\d+)\.\w+", path.name)
        if found and path.is_file() and not _is_of_another(int(found[1])):
            path.unlink(missing_ok=True)


def remove_drafts_of(path: Path) -> None:
    """Removes the drafts of a file or a folder that killed processes left beside it."""
    names = (path.stem, path.suffix), (path.name, "")
    patterns = [rf"\.{re.escape(stem)}\.(\d+){re.escape(suffix)}" for stem, suffix in names]
    for other in path.parent.glob(".*"):
        found = re.fullmatch(patterns[0], other.name) or re.fullmatch(patterns[1], other.name)
        if not found or _is_of_another(int(found[1])):
            continue
        if other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
        else:
            other.unlink(missing_ok=True)


def _is_of_another(process: int) -> bool:
    """Whether a number is that of another process, which may still be writing."""
    if process == os.getpid() or os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Flushes the entries of a folder to disk, where the system can do that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file atomically, as UTF-8.

    Raises:
        OSError: If the file cannot be written.
    """
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Writes a JSON file atomically; NaN and infinity become null, which every reader understands.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If the value cannot be represented in JSON.
    """
    write_text(path, json.dumps(finite(value), indent=2) + "\n")


def write_json_lists(path: str | Path, lists: Mapping[str, Iterable[object]]) -> None:
    """Writes an object of lists as JSON, atomically and without holding a list: an element on each line.

    The lists are iterated in their order.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If an element cannot be represented in JSON.
        ValueError: If a number in it is not finite.
    """
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        before = "{"
        for key, elements in lists.items():
            file.write(f"{before}{json.dumps(key)}: [")
            separator = "\n"
            for element in elements:
                file.write(separator + json.dumps(element, allow_nan=False))
                separator = ",\n"
            file.write("\n]")
            before = ",\n"
        file.write("}\n")


def finite(value: object) -> object:
    """The value with `None` in place of NaN and infinity, at any depth of dictionaries and lists."""
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
