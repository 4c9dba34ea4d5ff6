"""Checks the layout of a data set and reads its label files, with errors that name the file."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import DataError
from fusionseg.files.images import read_labels, read_palette_labels
from fusionseg.files.matching import some
from fusionseg.files.orientation import orientation
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
