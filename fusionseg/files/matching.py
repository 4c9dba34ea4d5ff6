"""Files that belong together because their names are equal up to the suffix."""

from collections.abc import Collection
from pathlib import PurePath
from unicodedata import normalize

from fusionseg.config.errors import UserError
from fusionseg.files.folders import PathT, files_below


def by_stem(folder: PathT, suffixes: Collection[str]) -> dict[str, PathT]:
    """The files of a folder and of all below it with one of the suffixes, in any case, sorted.

    They are found by their paths relative to the folder, with `/`, without suffix, and in Unicode's composed
    form (NFC), because file systems differ in it. Hidden files are left out.

    Raises:
        UserError: Two files differ only in their suffix, or no file has one of the suffixes, but others.
    """
    found: dict[str, PathT] = {}
    others: set[str] = set()
    for path in files_below(folder):
        if path.suffix.lower() not in suffixes:
            others.add(path.suffix or path.name)
            continue
        name = stem(path.relative_to(folder))
        if name in found:
            raise UserError(
                f"expected one file named {name} in {folder}, found {found[name].name} and {path.name}"
            )
        found[name] = path
    if others and not found:
        raise UserError(f"no files of a known format in {folder}, found only {some(sorted(others))}")
    return found


def stem(path: str | PurePath) -> str:
    """The name that a photo and its label files share: a relative path without suffix, in NFC."""
    return normalize("NFC", PurePath(path).with_suffix("").as_posix())


def some(names: Collection[str]) -> str:
    """Up to three names, and how many there are in all if there are more."""
    shown = ", ".join(list(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
