from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from fusionseg.data.base import DataError
from fusionseg.data.nyu_metadata import NAMES, class_table, nyu_classes, split_numbers

OFFICIAL_13 = """12 5 6 1 4 9 10 12 13 6 8 6 13 10 6 13 6 7 7 5 7 3 2 6 11 7 7 7 7 7 7 6 7 7 7 7 7 7 6 7"""
"""The official mapping from 40 to 13 classes."""


def test_the_names_fit_the_official_mapping_of_40_to_13_classes() -> None:
    mapped = dict(zip(NAMES[40], map(int, OFFICIAL_13.split()), strict=True))
    same = {name: name for name in NAMES[40] if name in NAMES[13]} | {
        "television": "tv",
        "floor mat": "floor",
    }
    assert len(same) == 12
    for name, other in same.items():
        assert NAMES[13][mapped[name] - 1] == other
    for name in ("lamp", "towel"):
        assert NAMES[13][mapped[name] - 1] == "objects"
    assert NAMES[13][mapped["cabinet"] - 1] == "furniture"


def test_walls_floors_and_ceilings_are_no_things() -> None:
    for number in (13, 40):
        classes = nyu_classes(number, "a region")  # type: ignore[arg-type]
        stuff = {name for i, name in enumerate(classes.names) if i not in classes.things}
        assert stuff == {"wall", "floor", "ceiling"}
        assert len(set(classes.colors)) == number


def test_a_table_goes_through_both_mappings(nyu: Path) -> None:
    of_40, of_13 = class_table(nyu, 40), class_table(nyu, 13)
    assert of_40.shape == of_13.shape == (895,)
    assert of_40[0] == of_13[0] == 255
    for label in range(1, 895):
        c = label % 40 + 1
        assert (of_40[label], of_13[label]) == (c - 1, c % 13)


def test_files_that_are_not_the_official_ones_are_named(nyu: Path) -> None:
    path = nyu / "classMapping40.mat"
    for values in (np.arange(40), np.zeros(894), np.full(894, 41)):
        savemat(path, {"mapClass": values})
        with pytest.raises(DataError, match=r"a class 1\.\.40 for each of 894 in .*classMapping40\.mat"):
            class_table(nyu, 40)
    savemat(path, {"other": 1})
    with pytest.raises(
        DataError, match=r"the official file with mapClass, found something else in .*KeyError"
    ):
        class_table(nyu, 40)
    path.write_bytes(b"no MATLAB file")
    with pytest.raises(DataError, match="the official file with mapClass"):
        class_table(nyu, 40)
    (nyu / "splits.mat").write_bytes(b"")
    with pytest.raises(DataError, match="the official file with trainNdxs"):
        split_numbers(nyu / "splits.mat", "train")
