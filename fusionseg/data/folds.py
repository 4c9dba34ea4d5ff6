"""Deals the images of a data set without an official split into five folds."""

from collections.abc import Collection

from fusionseg.data.base import DataError, Split
from fusionseg.data.subset import drawn
from fusionseg.files.readable_path import ReadablePath

FOLDS = 5
"""The number of folds."""

INCOMPLETE = ", so that the folds are not those of all images"
"""The effect of a `DownloadPart` whose images are dealt."""


def dealt(names: Collection[str], split: Split, fold: int, where: ReadablePath) -> list[str]:
    """The names of the images of a split, sorted.

    They are dealt into five folds of equal size, in an order that follows from their names: one fold is the
    test split, the next one the validation split, and the other three are trained on.

    Args:
        names: The names of all images.
        split: Which of them.
        fold: The fold of the test split, in 0..4.
        where: The folder of the images, for the message.

    Raises:
        DataError: The images are too few for the split.
        ValueError: There is no such fold.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"expected a fold in 0..{FOLDS - 1}, found {fold}")
    order = sorted(names, key=drawn)
    folds = [order[k::FOLDS] for k in range(FOLDS)]
    folds = folds[fold:] + folds[:fold]
    parts = {"test": folds[:1], "val": folds[1:2], "train": folds[2:]}
    found = sorted(name for part in parts[split] for name in part)
    if not found:
        raise DataError(
            f"expected at least {FOLDS} images, one for each fold, found {len(names)} in {where}, none to "
            f"{split} on"
        )
    return found
