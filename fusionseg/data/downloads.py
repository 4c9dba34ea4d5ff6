"""Finds a download in the folder that a user names, and says what else lies there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from fusionseg.data.base import DataError
from fusionseg.files.image_sizes import stored_size
from fusionseg.files.matching import by_stem, some
from fusionseg.files.readable_path import ReadablePath


def top_of(
    root: ReadablePath,
    places: Sequence[str],
    holds: str,
    archive: str,
    layout: str,
    copies: Mapping[str, str],
) -> ReadablePath:
    """The folder at or below `root` in which a download lies.

    Args:
        root: The folder that the user names.
        places: Where below it the wanted folder may be, the official place first; empty for `root` itself.
        holds: The file or folder in it by which it is known.
        archive: The archive of the download, for the message.
        layout: The layout of the dataset on disk, for the message.
        copies: What else may be there in its place: the name of `root` itself or a path below it, and what
            that is.

    Raises:
        DataError: There is no such folder.
    """
    folders = [root / place if place else root for place in places]
    name = Path(root).absolute().name
    found = next((folder for folder in folders if (folder / holds).exists()), None)
    if found and (found is not root or name not in copies):
        return found
    for path, what in copies.items():
        if name == path or (root / path).exists():
            raise DataError(f"expected {folders[0] / holds} of {archive}, found {path}: {what}")
    _check_elsewhere(root, [holds])
    raise DataError(
        f"not found: {archive} or what is in it, such as {folders[0] / holds}; expected this layout (set "
        f"root to its top folder):\n{layout}"
    )


def files_of(
    names: Collection[str],
    folder: ReadablePath,
    suffixes: Collection[str],
    list_file: ReadablePath,
    archive: str,
) -> list[ReadablePath]:
    """The file of each name that a list has, by its name without suffix.

    Args:
        names: The names.
        folder: Where the files are.
        suffixes: Their suffixes, in lower case.
        list_file: The list, for the message.
        archive: The archive that has the files, for the message.

    Raises:
        DataError: There is no name, or a file is missing.
    """
    if not names:
        raise DataError(f"expected names of images, one in a line, found none in {list_file}")
    files = by_stem(folder, suffixes) if folder.is_dir() else {}
    if missing := [name for name in names if name not in files]:
        raise DataError(
            f"expected files of {len(names)} names in {list_file}, found {len(names) - len(missing)} in "
            f"{folder}, not {some(missing)}: all are in {archive}"
        )
    return [files[name] for name in names]


def check_level(top: ReadablePath, folders: Collection[str]) -> None:
    """Raises a DataError if none of the folders is in `top`, but all are above it or in one of its folders.

    Args:
        top: The top of a data set's files, unpacked or in archives.
        folders: The names of folders that are there in the official layout.
    """
    if top.is_dir() and not any((top / name).is_dir() for name in folders):
        _check_elsewhere(top, folders, sorted(path for path in top.iterdir() if path.is_dir()))


def size_notices(
    file: ReadablePath, name: str, *sizes: tuple[int, int], found: tuple[int, int] | None = None
) -> tuple[str, ...]:
    """A line if a photo has not the size of the official ones, for `SegmentationDataset.notices`.

    Args:
        file: The file of the photo.
        name: What the data set is called.
        sizes: Height and width of the official photos; several where they are of more than one size.
        found: Height and width of the photo, by default from the header of the file.
    """
    found = found or stored_size(file)
    if found is None or found in sizes:
        return ()
    official = " or ".join(shown_size(size) for size in sizes)
    return (
        f"{file} is of a copy of {name} in another size: {shown_size(found)}, where the official photos "
        f"have {official}; scores do not compare with those on the official files",
    )


def shown_size(size: tuple[int, int]) -> str:
    """Width and height of an image of a height and width, for messages."""
    return f"{size[1]} x {size[0]}"


def _check_elsewhere(root: ReadablePath, wanted: Collection[str], below: Iterable[ReadablePath] = ()) -> None:
    """Raises a DataError if all that is wanted is in one of three folders above `root`, or in one `below`."""
    start = root.absolute() if isinstance(root, Path) else root
    above = (start.parent, start.parent.parent, start.parent.parent.parent)
    for place in (*above, *below):
        if all((place / name).exists() for name in wanted):
            found = "it" if len(wanted) == 1 else "them"
            raise DataError(
                f"expected {', '.join(wanted)} in {root}, found {found} in {place}: set root to that folder"
            )
