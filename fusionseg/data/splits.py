"""Splits of images that nobody has listed."""

from collections.abc import Sequence

from fusionseg.data.base import DataError
from fusionseg.data.subset import drawn
from fusionseg.files.readable_path import ReadablePath


def drawn_splits(
    source: ReadablePath, names: Sequence[str], val_fraction: float, test_fraction: float, remedy: str
) -> dict[str, list[str]]:
    """The names of the images of each split, each drawn by its own hash, whatever other names there are.

    Args:
        source: The folder or file that has the images, for the message.
        names: Their names.
        val_fraction: Probability of an image to be validated on.
        test_fraction: Probability of an image to be tested on.
        remedy: What to do where a split is empty; `{split}` stands for its name.

    Raises:
        DataError: A split is empty whose fraction is above 0.
        ValueError: The fractions leave no images to train on.
    """
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise ValueError(
            f"expected fractions that leave images to train on, found {val_fraction} + {test_fraction}"
        )
    position = {name: drawn(name) for name in names}
    end = test_fraction + val_fraction
    splits = {
        "test": [name for name in names if position[name] < test_fraction],
        "val": [name for name in names if test_fraction <= position[name] < end],
        "train": [name for name in names if end <= position[name]],
    }
    for split, fraction in {"test": test_fraction, "val": val_fraction, "train": 1}.items():
        if fraction and not splits[split]:
            raise DataError(
                f"expected images in every split that is drawn by name, found none to {split} on among "
                f"{len(names)} in {source}: {remedy.format(split=split)}"
            )
    return splits
