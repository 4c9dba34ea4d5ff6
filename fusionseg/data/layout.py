"""Finds, matches and reads photos and their label files, with errors that name the file."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import DataError
from fusionseg.files.images import read_labels
from fusionseg.sample import VOID, IntMap

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


def check_layout(paths: Iterable[Path], layout: str) -> None:
    """Raises a DataError unless all files and folders exist.

    Args:
        paths: The files and folders.
        layout: The layout of the dataset on disk, for the message.
    """
    if missing := [str(path) for path in paths if not path.exists()]:
        raise DataError(
            f"not found: {', '.join(missing)}; expected this layout (set root to its top folder):\n{layout}"
        )


def by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """The files of a folder with one of the suffixes, by their names without it, sorted.

    Raises:
        DataError: Two files differ only in their suffix.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(
                f"expected one file named {path.stem} in {folder}, found {found[path.stem].name} and "
                f"{path.name}"
            )
        found[path.stem] = path
    return found


def names_in(path: Path) -> list[str]:
    """The lines of a list file, without empty ones.

    Raises:
        DataError: The file is not text.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"expected one name in a line (UTF-8) in {path}: {error}") from error


def check_matched(photos: Mapping[str, object], labels: Mapping[str, object], where: Path) -> None:
    """Raises a DataError unless there are photos, each has a label file, and each label file has a photo."""
    if not photos and not labels:
        raise DataError(f"no images found in {where}: expected one of {' '.join(PHOTO_SUFFIXES)}")
    if lonely := [name for name in photos if name not in labels]:
        raise DataError(
            f"no labels in {where} for {some(lonely)}: add the label files or take the images out"
        )
    if lonely := [name for name in labels if name not in photos]:
        raise DataError(
            f"no images for the labels {some(lonely)} in {where}: add the images or take the labels out"
        )


def some(names: Collection[str]) -> str:
    """Up to three names, and how many there are in all if there are more."""
    shown = ", ".join(list(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def check_size(labels: IntMap, image: npt.NDArray[np.uint8], label_file: Path, photo: Path) -> None:
    """Raises a DataError unless a label map has the image's height and width."""
    if labels.shape != image.shape[:2]:
        h, w = labels.shape
        height, width = image.shape[:2]
        raise DataError(
            f"expected labels of the image's size {width} x {height} ({photo}), found {w} x {h} in "
            f"{label_file}"
        )


def class_map(path: Path, num_classes: int, void: int) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of a label file, its own void id replaced by 255.

    Raises:
        DataError: The file has an id that is neither a class nor void.
        ValueError: The file is damaged.
    """
    labels = read_labels(path)
    table = np.full(256, VOID + 1, np.uint16)
    table[:num_classes] = np.arange(num_classes)
    table[void] = VOID
    if labels.min() < 0 or labels.max() > 255 or (ids := table.take(labels)).max() > VOID:
        strange = [i for i in np.unique(labels).tolist() if i != void and not 0 <= i < num_classes]
        raise DataError(
            f"expected class ids 0..{num_classes - 1} or {void} for void, found {strange[:5]} in {path}"
        )
    return ids.astype(np.uint8)


def region_map(path: Path) -> npt.NDArray[np.uint16]:
    """The region ids (H, W) of a label file, 0 where unlabeled.

    Raises:
        DataError: The file has an id outside of 0..65535.
        ValueError: The file is damaged.
    """
    labels = read_labels(path)
    if labels.min() < 0 or labels.max() > 65535:
        raise DataError(f"expected region ids 0..65535, found {labels.min()}..{labels.max()} in {path}")
    return labels.astype(np.uint16)
