"""The classes of NYUv2, and its official split and class mappings in the small files beside its images."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from fusionseg.data.base import DataError
from fusionseg.sample import VOID, Classes, IntMap
from fusionseg.visualize import color

NumClasses: TypeAlias = Literal[13, 40]

SPLITS = "splits.mat"
MAPPING_40 = "classMapping40.mat"
MAPPING_13 = "class13Mapping.mat"
"""The names of the official files: which images are trained on, and the classes of classes."""

LABELS = 894
"""The largest id of the labels as they were annotated."""

NAMES: dict[int, tuple[str, ...]] = {
    40: (
        *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf"),
        *("picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror"),
        *("floor mat", "clothes", "ceiling", "books", "refridgerator", "television", "paper", "towel"),
        *("shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp"),
        *("bathtub", "bag", "otherstructure", "otherfurniture", "otherprop"),
    ),
    13: (
        *("bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa"),
        *("table", "tv", "wall", "window"),
    ),
}
"""The names of the 40 and of the 13 classes, as the official files spell and order them."""

_STUFF = ("wall", "floor", "ceiling")
"""The classes that are not countable (Seichter et al., EMSANet, IJCNN 2022)."""


def nyu_classes(number: NumClasses, region: str) -> Classes:
    """The 40 or the 13 classes; all but walls, floors and ceilings are things.

    Args:
        number: How many.
        region: What a region is.
    """
    names = NAMES[number]
    return Classes(
        names=names,
        colors=tuple(color(i) for i in range(number)),
        things=tuple(i for i, name in enumerate(names) if name not in _STUFF),
        region=region,
    )


def mapping_files(root: Path, number: NumClasses) -> list[Path]:
    """The files that lead from labels to the 40 or the 13 classes."""
    return [root / MAPPING_40, *([root / MAPPING_13] if number == 13 else [])]


def class_table(root: Path, number: NumClasses) -> npt.NDArray[np.uint8]:
    """The class id of each label (895,); that of 0, which is unlabeled, is `VOID`.

    Args:
        root: The folder of the mapping files.
        number: How many classes.

    Raises:
        DataError: A mapping file holds something else.
    """
    path = root / MAPPING_40
    ids = _ids(_content(path, "mapClass"), LABELS, 40, path)
    if number == 13:
        path = root / MAPPING_13
        # a struct, whose first field is the class of each of the 40 classes
        fields: Any = np.ravel(_content(path, "classMapping13"))[0]
        ids = _ids(fields[0], 40, 13, path)[ids - 1]
    return np.append(VOID, ids - 1).astype(np.uint8)


def split_numbers(path: Path, split: Literal["train", "test"]) -> list[int]:
    """The numbers of the images of an official split, from 1.

    Raises:
        DataError: The file holds something else.
    """
    key = f"{split}Ndxs"
    numbers = np.ravel(_content(path, key))
    if not numbers.size or numbers.dtype.kind not in "iu" or numbers.min() < 1:
        raise DataError(f"expected numbers of images from 1 as {key} in {path}, found something else")
    return sorted(numbers.tolist())


def _content(path: Path, key: str) -> Any:
    """An array of a MATLAB file.

    Raises:
        DataError: There is none.
    """
    try:
        return loadmat(path)[key]
    except OSError:
        raise
    except Exception as error:  # the reader of MATLAB's formats does not document what it raises
        raise DataError(
            f"expected the official file with {key}, found something else in {path} ({error!r})"
        ) from error


def _ids(values: Any, count: int, largest: int, path: Path) -> IntMap:
    """So many class ids from 1.

    Raises:
        DataError: They are something else.
    """
    ids: Any = np.ravel(values)
    if ids.size != count or ids.dtype.kind not in "iuf" or not 1 <= ids.min() <= ids.max() <= largest:
        raise DataError(
            f"expected a class 1..{largest} for each of {count} in {path}, found {ids.size} values: is it "
            "the official file?"
        )
    return ids.astype(np.int64)  # type: ignore[no-any-return]
