"""Merges the classes of several datasets into one list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fusionseg.data.base import DataError
from fusionseg.sample import VOID, Classes

Counting: TypeAlias = Literal["both", "semantic", "region"]
"""Which of a part's classes and regions count."""

_Renamed: TypeAlias = Mapping[str, Mapping[str, str | None]]
_Names: TypeAlias = Mapping[str, Sequence[str | None]]


def merged_classes(
    every: Mapping[str, Classes], counting: Mapping[str, str], renamed: Literal["apart"] | _Renamed
) -> tuple[Classes, dict[str, npt.NDArray[np.uint8]]]:
    """The classes of a mixture, and for each part the table (256,) from its own class ids to the mixture's.

    Args:
        every: The classes of each part by the part's name.
        counting: Which labels of each part count: `both`, `semantic` or `region`.
        renamed: New names of classes by part, None for void; or `apart` to merge none.

    Raises:
        DataError: An unknown class is renamed, or classes cannot be merged.
    """
    # If the classes of no part count, the mixture still needs some, though none of them ever occurs.
    declared = {part: classes for part, classes in every.items() if counting[part] != "region"} or every
    names = _apart(declared) if renamed == "apart" else _new_names(declared, every, renamed)
    region = "; ".join(f"{part}: {c.region}" for part, c in every.items() if counting[part] != "semantic")
    merged = _merged(declared, names, region or Classes.region)
    position = {name: i for i, name in enumerate(merged.names)}
    tables = {part: np.full(VOID + 1, VOID, np.uint8) for part in every}
    for part in declared:
        if counting[part] != "region":
            ids = [VOID if name is None else position[name] for name in names[part]]
            tables[part][: len(ids)] = ids
    return merged, tables


def _merged(declared: Mapping[str, Classes], names: _Names, region: str) -> Classes:
    """The classes of all parts, those of one new name as one, with the color of the first."""
    colors: dict[str, tuple[int, int, int]] = {}
    thing: dict[str, bool] = {}
    for part, classes in declared.items():
        for i, name in enumerate(names[part]):
            if name is None:
                continue
            colors.setdefault(name, classes.colors[i])
            if thing.setdefault(name, i in classes.things) != (i in classes.things):
                raise DataError(f"expected {name} to be a thing in all parts or in none: give it two names")
    things = tuple(i for i, name in enumerate(colors) if thing[name])
    return Classes(tuple(colors), tuple(colors.values()), things, region)


def _apart(declared: Mapping[str, Classes]) -> _Names:
    """The names of the classes of each part, prefixed by the part's name if several parts have them."""
    counts = Counter(name for classes in declared.values() for name in classes.names)
    names = {
        part: [name if counts[name] == 1 else f"{part} {name}" for name in classes.names]
        for part, classes in declared.items()
    }
    counts = Counter(name for new in names.values() for name in new)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(
            f"expected classes with different names in a part, found {', '.join(twice)} more than once"
        )
    return names


def _new_names(declared: Mapping[str, Classes], every: Mapping[str, Classes], renamed: _Renamed) -> _Names:
    """The names of the classes of each part after renaming."""
    for part, new in renamed.items():
        if unknown := [name for name in new if name not in every[part].names]:
            known = ", ".join(every[part].names)
            raise DataError(f"expected classes of {part} ({known}), found {', '.join(unknown)}")
    names = {}
    for part, classes in declared.items():
        new = renamed.get(part, {})
        names[part] = [new.get(name, name) for name in classes.names]
    return names
