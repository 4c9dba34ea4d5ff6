import hashlib
from pathlib import Path

import pytest

from fusionseg.data.base import DataError, Split
from fusionseg.data.folds import FOLDS, dealt

SPLITS: tuple[Split, ...] = ("train", "val", "test")
NAMES = [f"image{i}" for i in range(23)]


def test_each_image_is_tested_on_once_and_in_one_split_of_each_fold() -> None:
    tested = []
    for fold in range(FOLDS):
        parts = [dealt(NAMES, split, fold, Path()) for split in SPLITS]
        assert sorted(name for part in parts for name in part) == sorted(NAMES)
        assert [len(part) // 2 for part in parts] in ([6, 2, 2], [7, 2, 2])
        tested += parts[2]
    assert sorted(tested) == sorted(NAMES)


def test_images_are_dealt_in_the_order_of_their_names_hashes() -> None:
    order = sorted(NAMES, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert dealt(NAMES, "test", 2, Path()) == sorted(order[2::5])
    assert dealt(NAMES, "val", 4, Path()) == sorted(order[0::5])
    assert dealt(NAMES[::-1], "train", 0, Path()) == sorted({*NAMES} - {*order[0::5], *order[1::5]})


def test_there_is_no_other_fold_and_no_empty_split() -> None:
    for fold in (-1, FOLDS):
        with pytest.raises(ValueError, match=rf"fold in 0\.\.4, found {fold}"):
            dealt(NAMES, "train", fold, Path())
    with pytest.raises(
        DataError, match=r"at least 5 images, one for each fold, found 4 in there, none to val"
    ):
        dealt(NAMES[:4], "val", 3, Path("there"))
