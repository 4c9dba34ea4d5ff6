"""Checks the layout of a data set and reads its label files, with errors that name the file."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import DataError
from fusionseg.files.images import read_labels, read_palette_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import opened, orientation
from fusionseg.files.readable_path import ReadablePath
from fusionseg.sample import VOID, Array, Classes, Color, IntMap


def check_layout(paths: Iterable[ReadablePath], layout: str) -> None:
    """Raises a DataError unless all files and folders exist.

    Args:
        paths: The files and folders.
        layout: The layout of the dataset on disk, for the message.
    """
    if missing := [str(path) for path in paths if not path.exists()]:
        raise DataError(
            f"not found: {', '.join(missing)}; expected this layout (set root to its top folder):\n{layout}"
        )


def check_level(top: ReadablePath, folders: Collection[str]) -> None:
    """Raises a DataError if none of the folders is in `top`, but all are above it or in one of its folders.

    Args:
        top: The top of a data set's files, unpacked or in archives.
        folders: The names of folders that are there in the official layout.
    """
    if top.is_dir() and not any((top / name).is_dir() for name in folders):
        _check_elsewhere(top, folders, sorted(path for path in top.iterdir() if path.is_dir()))


def size_notices(photo: ReadablePath, name: str, size: tuple[int, int]) -> tuple[str, ...]:
    """A line if a photo has not the size of the official ones, for `SegmentationDataset.notices`.

    Args:
        photo: The photo; only its header is read.
        name: What the data set is called.
        size: Width and height of the official photos.
    """
    with opened(photo) as image:
        found = image.size
    if found == size:
        return ()
    return (
        f"{photo} is of a copy of {name} in another size: {found[0]} x {found[1]}, where the official photos "
        f"have {size[0]} x {size[1]}; scores do not compare with those on the official files",
    )


def names_in(path: ReadablePath) -> list[str]:
    """The lines of a list file, without empty ones; a byte-order mark is no part of a name.

    Raises:
        DataError: The file is not text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"expected one name in a line (UTF-8) in {path}: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


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


def check_matched(
    photos: Iterable[str], labels: Iterable[str], where: ReadablePath, images: ReadablePath | None = None
) -> None:
    """Raises a DataError unless there are photos, each has a label file, and each label file has a photo.

    Args:
        photos: The names of the photos.
        labels: The names of the label files.
        where: The folder of the label files, for the message.
        images: The folder of the photos, in which it is looked for files of other formats.
    """
    wanted = dict.fromkeys(photos)
    given = dict.fromkeys(labels)
    if not wanted and not given:
        raise DataError(f"no images found in {where}: expected photos in a raster format that Pillow decodes")
    if lonely := [name for name in wanted if name not in given]:
        raise DataError(
            f"no labels in {where} for {some(lonely)}{_unread(where, lonely[0])}: add the label files or "
            "take the images out"
        )
    if lonely := [name for name in given if name not in wanted]:
        raise DataError(
            f"no images for the labels {some(lonely)} in {where}{_unread(images, lonely[0])}: add the images "
            "or take the labels out"
        )


def _unread(folder: ReadablePath | None, name: str) -> str:
    """Which file of that name is there, though a broken link or of a format that is not read, in brackets."""
    if folder is None:
        return ""
    path = folder / name
    if path.parent.is_dir():
        for file in sorted(file for file in path.parent.iterdir() if file.stem == path.name):
            return f" (there is {file}, {'a format that is not read' if file.exists() else 'a broken link'})"
    return ""


def check_size(labels: IntMap, image: Array, label_file: ReadablePath, photo: ReadablePath) -> None:
    """Raises a DataError unless a label map has the image's height and width."""
    if labels.shape == image.shape[:2]:
        return
    h, w = labels.shape
    height, width = image.shape[:2]
    turned = orientation(photo)
    reason = ""
    if turned > 4 and labels.shape == (width, height):
        reason = (
            f": the photo is displayed in that size, turned by its EXIF orientation {turned}, but labels "
            "belong to stored pixels: turn the pixels of the photo (`mogrify -auto-orient`) or of the labels"
        )
    raise DataError(
        f"expected labels of the image's size {width} x {height} ({photo}), found {w} x {h} in "
        f"{label_file}{reason}"
    )


def class_map(path: ReadablePath, classes: Classes, void: int) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of a label file, its own void id replaced by 255.

    Raises:
        DataError: The file has an id that is neither a class nor void, or a palette that gives its ids the
            colors of other classes.
        ValueError: The file is damaged.
    """
    labels, palette = read_palette_labels(path)
    ids = class_ids(labels, len(classes), void, path)
    if palette:
        _check_palette(np.unique(labels[labels != void]).tolist(), palette, classes, path)
    return ids


def class_ids(labels: IntMap, num_classes: int, void: int, path: ReadablePath) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) that a label file holds, its own void id replaced by 255.

    Raises:
        DataError: One of them is neither a class nor void.
    """
    table = np.full(256, VOID + 1, np.uint16)
    table[:num_classes] = np.arange(num_classes)
    table[void] = VOID
    if labels.min() < 0 or labels.max() > 255 or (ids := table.take(labels)).max() > VOID:
        strange = [i for i in np.unique(labels).tolist() if i != void and not 0 <= i < num_classes]
        raise DataError(
            f"expected class ids 0..{num_classes - 1} or {void} for void, found {strange[:5]} in {path}"
        )
    return ids.astype(np.uint8)


def _check_palette(ids: list[int], palette: list[Color], classes: Classes, path: ReadablePath) -> None:
    """Raises a DataError if ids that occur in a file have there the colors of other classes.

    That is so where most of them do, or some have each other's colors. Others may share a color by chance.
    """
    named = dict(zip(classes.colors, classes.names, strict=True))
    others = {
        i: named[palette[i]]
        for i in ids
        if i < len(palette) and palette[i] in named and palette[i] not in (classes.colors[i], (i, i, i))
    }
    exchanged = len(others) > 1 and set(others.values()) == {classes.names[i] for i in others}
    if exchanged or 2 * len(others) > len(ids):
        found = some([f"{i} in the color of {name} and not {classes.names[i]}" for i, name in others.items()])
        raise DataError(
            f"expected palette indices that are class ids in {path}, found {found}: save the ids, or "
            "declare the palette's colors in classes.yaml"
        )


def region_map(path: ReadablePath, background: bool = False) -> npt.NDArray[np.uint16]:
    """The region ids (H, W) of a label file, 0 where unlabeled.

    Args:
        path: The label file.
        background: Whether its id 0 is a region too; it becomes an id that the file has not.

    Raises:
        DataError: The file has an id outside of 0..65535.
        ValueError: The file is damaged.
    """
    labels = read_labels(path)
    if labels.min() < 0 or labels.max() > 65535:
        raise DataError(f"expected region ids 0..65535, found {labels.min()}..{labels.max()} in {path}")
    region = labels.astype(np.uint16)
    if background:
        region[region == 0] = np.setdiff1d(np.arange(1, 65536), region)[0]
    return region
