"""The types that all parts share: samples, classes, labels and predictions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

VOID = 255
"""Class id of pixels that have no semantic label; a data set has at most 255 classes of pixels."""

Sample: TypeAlias = dict[str, Any]
"""An item of a dataset; a batch is the same with a leading dimension B.

==========  =========  =================================  =================================================
key         shape      dtype                              meaning
==========  =========  =================================  =================================================
`image`     (C, H, W)  uint8 (or uint16, float32 [0, 1])  RGB or RGB and more, normalized on the device
`semantic`  (H, W)     int64                              class id, `VOID` where unlabelled
`region`    (H, W)     int64 in [0, 65535]                region id, arbitrary per image, 0: unlabelled
`depth`     (H, W)     float32                            meters, 0 where invalid (only some data sets)
`disparity` (H, W)     float32                            pixels, 0 where invalid (only some data sets)
`normals`   (3, H, W)  float32                            unit vectors (x right, y down, z away), 0: invalid
`boundary`  (H, W)     float32                            share of annotators who see a boundary there, -1
                                                          where none does, 0: invalid (only some data sets)
`scene`     (C,)       float32 in [0, 1]                  which classes the image shows (only where labels are
                                                          of whole images: no label maps then)
`features`  (N,)       bfloat16                           those of a frozen encoder (only where they are kept)
`weak`      as image   as image                           the crop in its own colors, for a mean teacher
                                                          (training only)
`name`      -          str                                unique in its split
`index`     -          int, evaluation only               what to ask `dataset.truth` for
`valid`     -          (int, int), of a batch             height and width without what `padded` added (only
                                                          where it did)
==========  =========  =================================  =================================================
"""

Array: TypeAlias = npt.NDArray[Any]
"""An array of any dtype on the host, such as a label map of any task."""

IntMap: TypeAlias = npt.NDArray[np.integer]
"""A label map (H, W) on the host."""

Color: TypeAlias = tuple[int, int, int]
"""An RGB color in [0, 255]."""


@dataclass(frozen=True)
class Classes:
    """The classes of a data set, and the meaning of its regions.

    Args:
        names: One name for each class, no two of them equal; its position is the class id.
        colors: One RGB color in [0, 255] for each class.
        things: Ids of the countable classes; the others are stuff.
        region: What a region is in this data set, in a few words, with the background where that is one.
        ids: Ids of the classes in the data set's own files, where they differ from 0, 1, 2 ... (COCO's
            categories).
        per_image: How many classes the label of a whole image names: exactly `one`, or `any` number. None
            where labels are maps, which have at most 255 classes.

    Raises:
        ValueError: If the number of classes, colors or ids is wrong, two names are equal, or a color or thing
            is out of range.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    things: tuple[int, ...] = ()
    region: str = "a set of pixels that belong together"
    ids: tuple[int, ...] = ()
    per_image: Literal["one", "any"] | None = None

    def __post_init__(self) -> None:
        # a checkpoint gives lists
        for name in ("names", "things", "ids"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "colors", tuple((r, g, b) for r, g, b in self.colors))
        if not self.names or (self.per_image is None and len(self.names) > VOID):
            raise ValueError(f"a data set needs 1 to {VOID} classes, found {len(self.names)}")
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(f"expected classes of different names, found {', '.join(map(str, twice))} twice")
        if len(self.colors) != len(self.names):
            raise ValueError(
                f"expected a color for each of the {len(self.names)} classes, found {len(self.colors)} colors"
            )
        if wrong := [c for c in self.colors if any(type(v) is not int or not 0 <= v <= 255 for v in c)]:
            raise ValueError(f"expected colors of three integers in 0..255, found {list(wrong[0])}")
        if self.ids and len(set(self.ids)) != len(self.names):
            raise ValueError(f"expected {len(self.names)} different ids, found {self.ids}")
        if strange := [i for i in self.things if not 0 <= i < len(self.names)]:
            raise ValueError(f"thing classes {strange} are outside of 0..{len(self.names) - 1}")

    def __len__(self) -> int:
        return len(self.names)

    def differences(self, other: "Classes") -> list[str]:
        """How the classes differ from others in number, names, order and things.

        Void needs no comparison of its own: whatever its ids are in files, it is `VOID` here, and what is
        void on one side and a class on the other is missing from the names of the one.

        >>> Classes(("sky", "car"), ((0, 0, 0),) * 2).differences(Classes(("car", "sky"), ((0, 0, 0),) * 2))
        ['id 0 is sky and not car', 'id 1 is car and not sky']
        """
        found = []
        if len(self) != len(other):
            found.append(f"{len(self)} classes and not {len(other)}")
            found += [f"no class {name}" for name in other.names if name not in self.names]
            found += [f"a further class {name}" for name in self.names if name not in other.names]
        pairs = enumerate(zip(self.names, other.names, strict=False))
        found += [f"id {i} is {name} and not {theirs}" for i, (name, theirs) in pairs if name != theirs]
        kinds = {name: i in other.things for i, name in enumerate(other.names)}
        for i, name in enumerate(self.names):
            if kinds.get(name, i in self.things) != (i in self.things):
                found.append(f"{name} is {self.kind(i)}")
        return found

    def kind(self, i: int) -> str:
        """Whether a class is `a thing` or `stuff`."""
        return "a thing" if i in self.things else "stuff"

    @property
    def file_ids(self) -> tuple[int, ...]:
        """The id of each class in the data set's own files."""
        return self.ids or tuple(range(len(self)))


@dataclass(frozen=True)
class Truth:
    """The labels of one image at the label file's own size, for evaluation only.

    Args:
        semantic: Class ids (H, W), `VOID` where unlabelled.
        region: Region ids (H, W), 0 where unlabelled and where a crowd is.
        crowd: Class ids (H, W) of crowds (several things in one outline), `VOID` elsewhere.
        others: Region ids (H, W) of each further annotator, where several people labelled the image.
        has_regions: Whether anybody labelled regions. If not, things cannot be told apart, and no segment is
            scored.
        maps: Labels of further kinds by their task's name, such as `depth` (H, W) float32 in meters, 0 where
            invalid, `disparity` (H, W) float32 in pixels, 0 where invalid, or `normals` (3, H, W) float32,
            the zero vector where invalid; `scene` (C,), which classes the image shows, where it has a label
            as a whole.
    """

    semantic: IntMap
    region: IntMap
    crowd: IntMap | None = None
    others: tuple[IntMap, ...] = ()
    has_regions: bool = True
    maps: Mapping[str, Array] = field(default_factory=dict)

    def panoptic(self, things: Sequence[int]) -> npt.NDArray[np.int32]:
        """The panoptic map (H, W): class * `OFFSET` + instance, `PANOPTIC_VOID` where void.

        Things have one segment for each region, stuff one for each class; a region that spans classes falls
        into one segment for each. Void are pixels without a class, pixels of things without a region, and
        crowds.

        Args:
            things: Ids of the thing classes.

        Raises:
            ValueError: If a region id is out of range.
        """
        countable = np.zeros(VOID + 1, bool)
        countable[list(things)] = True
        thing = countable.take(self.semantic)
        instance = self.region * thing
        if instance.size and not 0 <= instance.min() <= instance.max() < OFFSET:
            raise ValueError(
                f"expected region ids in 0..{OFFSET - 1}, found {instance.min()}..{instance.max()}"
            )
        ids = self.semantic.astype(np.int32)
        ids *= OFFSET
        ids += instance
        void = thing & (instance == 0)
        void |= self.semantic == VOID
        if self.crowd is not None:
            void |= self.crowd != VOID
        np.putmask(ids, void, PANOPTIC_VOID)
        return ids


@dataclass(frozen=True)
class Prediction:
    """The answers for one image, by task.

    Args:
        name: The sample's name.
        maps: The answer of each head, at the size of the label file: `semantic` class ids (H, W); `region`
            ids (H, W), positive; `scene` the probability (C,) of each class to be present; those of further
            tasks by their names. Where there are both classes and regions, also `fused`, the class ids after
            the region vote, and `panoptic`, the panoptic ids (`fusionseg.engine.fusion.panoptic`).
            Only where they were asked for and are predicted: `contours`, the probability (H, W) of a
            boundary, and `contour_logits`, its logit; `probabilities` (C, H, W) of the classes,
            `log_probabilities`, their logarithms, `confidence`, that of the predicted one, and `entropy`
            (H, W), theirs in nats.
        outputs: What the head of each task gave, where it was asked for: an array, or several by name.
    """

    name: str
    maps: Mapping[str, Array]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, task: str) -> Array:
        return self.maps[task]

    def __contains__(self, task: str) -> bool:
        return task in self.maps

    def get(self, task: str) -> Array | None:
        """The answer of a task, or None where there is none."""
        return self.maps.get(task)


class Frame(NamedTuple):
    """The sizes that relate a network's output to the label map of its image.

    Attributes:
        padded: Height and width of the network's input.
        valid: Height and width of the part of it, from the top left, that is image and not padding.
        size: Height and width of the wanted label map.
    """

    padded: tuple[int, int]
    valid: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> "Frame":
        """The frame of an input without padding, answered at its own size."""
        return cls(size, size, size)


Counted: TypeAlias = dict[str, Array]
"""Named additive arrays: the sums of one image, or of a set of images."""

Picture: TypeAlias = npt.NDArray[np.uint8]
"""An RGB picture (H, W, 3) on the host."""

OFFSET = 65536
"""A panoptic id is class * OFFSET + instance; stuff has instance 0."""

PANOPTIC_VOID = -1
"""The panoptic id of pixels that belong to no segment."""
