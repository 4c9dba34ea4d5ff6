"""Cityscapes' id files: class * 1000 + instance, or the class alone, in 16 bits."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fusionseg.config.errors import UserError
from fusionseg.files.images import LABEL_SUFFIXES, read_labels
from fusionseg.files.matching import by_stem, some
from fusionseg.sample import OFFSET, IntMap
from fusionseg.scores.pairs import matched
from fusionseg.scores.panoptic.base import ImageFiles, Options, PanopticSet, check_folders

CLASSES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""The ids of the classes that Cityscapes' benchmark evaluates; those from 24 on are things."""

FIRST_THING = 24
LAST = 33
"""The last of the ids that Cityscapes gives to classes, among them those that are not evaluated."""

NAME = re.compile(r"(?:.*/)?([^/_]+_\d{6}_\d{6})")
"""The part of the name of a file of Cityscapes that says which image it is."""


class CityscapesSide(NamedTuple):
    """The id file of an image."""

    path: Path

    def codes(self, num_classes: int, crowds: bool) -> IntMap:
        """See `Side`; a thing without instance is a crowd, as Cityscapes' own evaluation has it.

        Raises:
            UserError: If an id is of no class, or an instance of one that is not countable.
        """
        ids = read_labels(self.path)
        values, place = np.unique(ids, return_inverse=True)
        numbers = np.where(values >= 1000, values // 1000, values)
        if strange := values[(numbers < 0) | (numbers > LAST)].tolist():
            raise UserError(
                f"expected ids of classes from 0 to {LAST}, or class * 1000 + instance, found {strange[:5]} "
                f"in {self.path}: they may be train ids"
            )
        if numbered := values[(values >= 1000) & (numbers < FIRST_THING)].tolist():
            raise UserError(
                f"expected instances of the classes {FIRST_THING} to {LAST} alone, found {numbered[:5]} in "
                f"{self.path}: they may be train ids"
            )
        position = {number: i for i, number in enumerate(CLASSES)}
        codes = np.zeros(len(values), np.int64)
        for at, value in enumerate(values.tolist()):
            number = value // 1000 if value >= 1000 else value
            if number in position:
                crowd = crowds and value < 1000 and number >= FIRST_THING
                instance = value % 1000 + 1 if value >= 1000 else 0
                codes[at] = (1 + position[number] + num_classes * crowd) * OFFSET + instance
        return codes[place].reshape(ids.shape)


def cityscapes(options: Options) -> PanopticSet:
    """The images of two folders of id files.

    Raises:
        UserError: If a name is not one of Cityscapes.
    """
    check_folders(options.truth, options.prediction)
    true, predicted = (_sides(folder) for folder in (options.truth, options.prediction))
    names, notices = matched(true, predicted, options.truth, options.prediction, options.common)
    things = [i for i, number in enumerate(CLASSES) if number >= FIRST_THING]
    images = [ImageFiles(name, true[name], predicted[name]) for name in names]
    return PanopticSet(images, list(CLASSES.values()), things, notices)


def _sides(folder: Path) -> dict[str, CityscapesSide]:
    """The id files of a folder by the names of their images."""
    files = by_stem(folder, LABEL_SUFFIXES)
    own = {name: path for name, path in files.items() if name.endswith("instanceIds")} or files
    if strange := [path.name for name, path in own.items() if name.endswith(("labelIds", "TrainIds"))]:
        raise UserError(f"expected files of instanceIds in {folder}, found {some(strange)}")
    found: dict[str, CityscapesSide] = {}
    for name, path in own.items():
        image = NAME.match(name)
        if image is None or image[1] in found:
            raise UserError(
                f"expected one file <city>_<6 digits>_<6 digits>... for each image in {folder}, found "
                f"{path.name}"
            )
        found[image[1]] = CityscapesSide(path)
    return found
