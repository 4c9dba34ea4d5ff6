"""The labels of Cityscapes: the 19 classes of its benchmark, and the 7 categories that MTAN trains on."""

import functools
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fusionseg.sample import VOID, Classes, Color

NumClasses: TypeAlias = Literal[19, 7]
"""How many classes the labels of Cityscapes make."""

REGION = "a thing or an area of stuff"
"""What a region is: as in panoptic Cityscapes, each thing by itself and all of a class of stuff together."""

LABELS = 34
"""The number of label ids."""

_FIRST_THING = 24
"""Label ids from here on are of things: people and vehicles."""

_FINE: tuple[tuple[int, str, Color], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
"""Label id, name and color of the 19 classes, in the order of their train ids."""

_COARSE: tuple[tuple[int, str, Color], ...] = (
    (7, "flat", (128, 64, 128)),
    (11, "construction", (70, 70, 70)),
    (17, "object", (153, 153, 153)),
    (21, "nature", (107, 142, 35)),
    (23, "sky", (70, 130, 180)),
    (24, "human", (220, 20, 60)),
    (26, "vehicle", (0, 0, 142)),
)
"""First label id, name and color of the 7 categories: theirs are those of their most frequent classes."""

CLASSES: dict[NumClasses, Classes] = {
    19: Classes(
        names=tuple(name for _, name, _ in _FINE),
        colors=tuple(color for _, _, color in _FINE),
        things=tuple(range(11, 19)),
        region=REGION,
        ids=tuple(label for label, _, _ in _FINE),
    ),
    7: Classes(
        names=tuple(name for _, name, _ in _COARSE),
        colors=tuple(color for _, _, color in _COARSE),
        things=(5, 6),
        region=REGION,
        ids=tuple(range(1, 8)),
    ),
}
"""The classes; their `ids` are label ids, or category ids where there are 7."""


class ValueTable(NamedTuple):
    """What each value of an `instanceIds` file is.

    Attributes:
        known: Whether the value occurs in official files.
        semantic: Its class, 255 for void.
        region: Its region: the value itself for a thing, class + 1 for stuff, 0 for void and crowds.
        crowd: Its class where it is a crowd, 255 elsewhere.
    """

    known: npt.NDArray[np.bool_]
    semantic: npt.NDArray[np.uint8]
    region: npt.NDArray[np.uint16]
    crowd: npt.NDArray[np.uint8]


def class_of_labels(num_classes: NumClasses) -> npt.NDArray[np.uint8]:
    """The class of each label id (34,), 255 for void."""
    table = np.full(LABELS, VOID, np.uint8)
    if num_classes == 7:
        for category, (first, _, _) in enumerate(_COARSE):
            table[first:] = category
    else:
        table[[label for label, _, _ in _FINE]] = np.arange(len(_FINE))
    return table


@functools.cache
def value_table(num_classes: NumClasses) -> ValueTable:
    """What each value (34000,) of an `instanceIds` file is.

    A value below 1000 is a label id, and where that is of things, a crowd: a group in one outline. Any other
    is 1000 * label id + the number of a thing.
    """
    values = np.arange(1000 * LABELS)
    single = values >= 1000
    label = np.where(single, values // 1000, values)
    known = label >= np.where(single, _FIRST_THING, 0)
    known &= label < LABELS
    semantic = np.where(known, class_of_labels(num_classes).take(label, mode="clip"), VOID)
    classified = known & (semantic != VOID)
    crowded = classified & ~single & (label >= _FIRST_THING)
    region = np.where(single, values, semantic + 1) * (classified & ~crowded)
    crowd = np.where(crowded, semantic, VOID)
    return ValueTable(known, semantic.astype(np.uint8), region.astype(np.uint16), crowd.astype(np.uint8))
