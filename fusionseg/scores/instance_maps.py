"""Reads instances of images: id maps, or one mask for each instance as in the Data Science Bowl 2018."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.mask_boundaries import Mask
from fusionseg.sample import IntMap


class InstanceMap(NamedTuple):
    """The instances of one image.

    Attributes:
        ids: Id of each pixel (H, W), 0 is background; None where there is no mask, and so no size.
        masks: The names of the masks of ids 1, 2 ...; empty for an id map.
        background: The id that background has in the file.
    """

    ids: IntMap | None
    masks: Sequence[str] = ()
    background: int = 0

    def names(self, ids: Counts) -> list[str]:
        """The names of instances in a file of confidences: those of their masks, or the ids of the file."""
        if self.masks:
            return [self.masks[number - 1] for number in ids.tolist()]
        return [str(0 if number == self.background else number) for number in ids.tolist()]


def has_masks(path: Path) -> bool:
    """Whether a folder has the layout of the Data Science Bowl: `<image>/masks/<mask>.png`."""
    return bool(_mask_folders(path))


def instance_files(path: Path) -> dict[str, Path]:
    """The id map, or the folder that holds `masks`, of each image by its name.

    Args:
        path: A folder of either layout, or an id map.

    Raises:
        UserError: If the folder does not exist, or has neither.
    """
    if not path.exists():
        raise UserError(f"expected files to score, found no {path}")
    if path.is_file():
        return {path.stem: path}
    found = {normalize("NFC", folder.parent.name): folder.parent for folder in _mask_folders(path)}
    found = found or by_stem(path, LABEL_SUFFIXES)
    if inner := [name for name in found if "masks" in name.split("/")[:-1]]:
        raise UserError(
            f"expected id maps or <image>/masks/<mask>.png in {path}, found {inner[0]}: name the folder "
            "that holds the folders of the images"
        )
    if not found:
        raise UserError(
            f"expected id maps ({', '.join(sorted(LABEL_SUFFIXES))}) or <image>/masks/<mask>.png in {path}, "
            "found none"
        )
    return found


def read_instances(path: Path, background: int) -> InstanceMap:
    """Reads the instances of an image.

    Args:
        path: An id map, or the folder that holds `masks`.
        background: The id of the background in an id map, not negative.

    Raises:
        UserError: If a file is damaged, an id is negative, a mask is none, has another size or overlaps with
            another one.
    """
    if path.is_dir():
        return _from_masks(by_stem(path / "masks", LABEL_SUFFIXES))
    ids = read_labels(path)
    if ids.min(initial=0) < 0:
        raise UserError(f"expected instance ids that are not negative, found {ids.min()} in {path}")
    if background:
        # 0 is an instance then, which gets the id that has become free
        ids = np.where(ids == background, 0, np.where(ids == 0, background, ids))
    return InstanceMap(ids, background=background)


def _mask_folders(path: Path) -> list[Path]:
    """The folders `<image>/masks` of a folder, sorted; hidden images are left out."""
    found = sorted(path.glob("*/masks"))
    return [folder for folder in found if folder.is_dir() and not folder.parent.name.startswith(".")]


def _from_masks(files: dict[str, Path]) -> InstanceMap:
    """The instances of masks by their names, numbered from 1 in this order."""
    ids: IntMap | None = None
    paths = list(files.values())
    for number, path in enumerate(paths, 1):
        inside = _mask(path)
        if ids is None:
            ids = np.zeros(inside.shape, np.int32)
        if inside.shape != ids.shape:
            raise UserError(
                f"expected masks of one size, found {ids.shape} in {paths[0]} and {inside.shape} in {path} "
                "(height, width)"
            )
        if covered := int(ids[inside].max(initial=0)):
            raise UserError(
                f"expected masks that do not overlap, found {np.count_nonzero(ids[inside])} pixels of {path} "
                f"in an earlier one, such as {paths[covered - 1].name}: give each pixel to one of them"
            )
        ids[inside] = number
    return InstanceMap(ids, list(files))


def _mask(path: Path) -> Mask:
    """The pixels (H, W) of an instance."""
    mask = read_labels(path)
    inside: Mask = mask != 0
    values = np.unique(mask[inside]).tolist()
    if len(values) != 1:
        found = f"the values {some([*map(str, values)])}" if values else "nothing"
        raise UserError(
            f"expected the mask of one instance, 0 and 255, found {found} in {path}: remove it, or name the "
            "folder itself if it has maps of ids"
        )
    return inside
