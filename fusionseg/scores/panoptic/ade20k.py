"""ADE20K's id files: those of classes (SceneParsing150), and those of instances (Places Challenge 2017).

Stuff comes from the files of classes and things from those of instances, which cover stuff; a thing's pixel
without an instance is void (as in `prepare_ade20k_pan_seg.py` of Mask2Former). No file of instances was at
hand when this was written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.files.photos import read_image
from fusionseg.sample import OFFSET, IntMap
from fusionseg.scores.pairs import matched
from fusionseg.scores.panoptic.base import ImageFiles, Options, PanopticSet, check_folders

CLASSES = 150
"""The classes of SceneParsing150; in files of classes they are 1 to 150, and 0 is void."""

MAPPING = "ade20k_instance_catid_mapping.txt"
NAMES = "objectInfo150.txt"


class Ade20kSide(NamedTuple):
    """The two id files of an image.

    Args:
        path: The class of each pixel, 0 where void.
        instances: The category of the instance (red) and its number in the image (green), 0 where none.
        mapping: The class, from 1, of each category.
    """

    path: Path
    instances: Path
    mapping: Mapping[int, int]

    def codes(self, num_classes: int, crowds: bool) -> IntMap:
        """See `Side`; there are no crowds.

        Raises:
            UserError: If a file has other ids, or the two differ in size.
        """
        semantic = read_labels(self.path)
        colors = read_image(self.instances)
        if colors.shape[:2] != semantic.shape:
            raise UserError(
                f"expected classes and instances of one size, found {semantic.shape} in {self.path} and "
                f"{colors.shape[:2]} in {self.instances} (height, width)"
            )
        if semantic.min(initial=0) < 0 or semantic.max(initial=0) > num_classes:
            raise UserError(
                f"expected class ids from 0 (void) to {num_classes}, found {semantic.min()} to "
                f"{semantic.max()} in {self.path}"
            )
        label = np.zeros(256, np.int64)
        label[list(self.mapping)] = list(self.mapping.values())
        category, number = (colors[..., channel].astype(np.int64) for channel in (0, 1))
        thing = number > 0
        if (strange := thing & (label[category] == 0)).any():
            found = np.unique(category[strange])[:5].tolist()
            raise UserError(f"expected the categories of {MAPPING}, found {found} in {self.instances}")
        stuff = np.where(np.isin(semantic, list(self.mapping.values())), 0, semantic.astype(np.int64))
        coded: IntMap = np.where(thing, label[category] * OFFSET + number, stuff * OFFSET)
        return coded


def ade20k(options: Options) -> PanopticSet:
    """The images of two folders of files of classes, each with one of files of instances."""
    check_folders(options.truth, options.prediction)
    mapping = _mapping(options.mapping or _above(options.truth, MAPPING, "--mapping"))
    true = _sides(options.truth, options.truth_masks, "--truth-masks", mapping)
    predicted = _sides(options.prediction, options.prediction_masks, "--prediction-masks", mapping)
    names, notices = matched(true, predicted, options.truth, options.prediction, options.common)
    images = [ImageFiles(name, true[name], predicted[name]) for name in names]
    return PanopticSet(
        images, _classes(options.truth), sorted(label - 1 for label in mapping.values()), notices
    )


def _sides(
    folder: Path, masks: Path | None, option: str, mapping: Mapping[int, int]
) -> dict[str, Ade20kSide]:
    """The files of a side by name.

    Raises:
        UserError: If files of instances are missing.
    """
    parts = ["annotations_instance" if part == "annotations" else part for part in folder.absolute().parts]
    masks = masks or Path(*parts)
    if not masks.is_dir() or masks == folder.absolute():
        raise UserError(
            f"expected the files of instances of {folder} in annotations_instance beside annotations, found "
            f"no such folder: name it with {option}"
        )
    semantic = by_stem(folder, LABEL_SUFFIXES)
    instances = by_stem(masks, LABEL_SUFFIXES)
    if missing := [name for name in semantic if name not in instances]:
        raise UserError(
            f"expected a file of instances for each file of {folder}, found no {some(missing)} in {masks}"
        )
    return {name: Ade20kSide(path, instances[name], mapping) for name, path in semantic.items()}


def _above(folder: Path, name: str, option: str) -> Path:
    """A file of the data set, in any folder above one of its folders.

    Raises:
        UserError: If there is none.
    """
    if found := _found(folder, name):
        return found
    raise UserError(f"expected {name} in a folder above {folder}, found none: name it with {option}")


def _found(folder: Path, name: str) -> Path | None:
    return next((above / name for above in folder.absolute().parents if (above / name).is_file()), None)


def _mapping(path: Path) -> dict[int, int]:
    """The class, from 1, of each category of instances, from the first two columns of a file with a header.

    Raises:
        UserError: If the file holds something else.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
        rows = (line.split()[:2] for line in lines if line.strip())
        found = {int(category): int(label) for category, label in rows}
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected a header and lines of ins_id, sem_id, full_id in {path}: {error}"
        ) from error
    known = set(found) <= set(range(1, 256)) and set(found.values()) <= set(range(1, CLASSES + 1))
    if not found or not known:
        raise UserError(
            f"expected categories from 1 to 255 of classes from 1 to {CLASSES} in {path}, found others"
        )
    return found


def _classes(truth: Path) -> list[str]:
    """The names of the classes, from objectInfo150.txt where it lies above the truth; else their numbers."""
    names = [str(number) for number in range(1, CLASSES + 1)]
    if path := _found(truth, NAMES):
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()[1:]:
            number, *_, name = line.split("\t") if "\t" in line else ("", "")
            if number.strip().isdigit() and 1 <= int(number) <= CLASSES:
                names[int(number) - 1] = name.strip()
    return names
