"""The files of a truth and of a prediction, matched by name."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from fusionseg.config.errors import UserError
from fusionseg.files.matching import by_stem, some


class Matched(NamedTuple):
    """The names that truth and prediction both have.

    Args:
        names: The names, sorted.
        notices: What is said of those that only one side has.
    """

    names: list[str]
    notices: list[str]


class Pairs(NamedTuple):
    """The files that are scored.

    Args:
        files: The truth and the prediction of each name, sorted.
        notices: What is said of those that only one side has.
    """

    files: dict[str, tuple[Path, Path]]
    notices: list[str]


def pairs(
    truth: Path,
    prediction: Path,
    truth_suffixes: Collection[str],
    prediction_suffixes: Collection[str],
    common: bool = False,
) -> Pairs:
    """The truth and the prediction of each name.

    Two files are a pair whatever their names are; those of two folders match by their paths without suffix.

    Args:
        truth: A file, or a folder.
        prediction: A file, or a folder.
        truth_suffixes: The suffixes of truths, in lower case.
        prediction_suffixes: The suffixes of predictions, in lower case.
        common: Whether what only one side has is left out, with a notice.

    Raises:
        UserError: If a path does not exist, is empty, or the names of the two sides differ.
    """
    for path in (truth, prediction):
        if not path.exists():
            raise UserError(f"expected files to score, found no {path}")
    if truth.is_file() and prediction.is_file():
        return Pairs({truth.stem: (truth, prediction)}, [])
    if truth.is_file() or prediction.is_file():
        file, folder = (truth, prediction) if truth.is_file() else (prediction, truth)
        raise UserError(f"expected two files or two folders, found the file {file} and the folder {folder}")
    true = by_stem(truth, truth_suffixes)
    predicted = by_stem(prediction, prediction_suffixes)
    for folder, found, suffixes in (
        (truth, true, truth_suffixes),
        (prediction, predicted, prediction_suffixes),
    ):
        if not found:
            raise UserError(f"expected files of {', '.join(sorted(suffixes))} in {folder}, found none")
    names, notices = matched(true, predicted, truth, prediction, common)
    return Pairs({name: (true[name], predicted[name]) for name in names}, notices)


def matched(
    true: Collection[str], predicted: Collection[str], truth: Path, prediction: Path, common: bool
) -> Matched:
    """The names that both sides have.

    Args:
        true: The names of the truths.
        predicted: The names of the predictions.
        truth: Where the truths come from, for the message.
        prediction: Where the predictions come from, for the message.
        common: Whether what only one side has is left out, with a notice.

    Raises:
        UserError: If the names of the two sides differ, or none is on both.
    """
    missing = [name for name in true if name not in predicted]
    extra = [name for name in predicted if name not in true]
    both = sorted(name for name in true if name in predicted)
    lacking = [f"no prediction of {some(missing)} in {prediction}"] if missing else []
    lacking += [f"no truth of {some(extra)} in {truth}"] if extra else []
    if not both or (lacking and not common):
        reason = "; ".join(lacking) or f"no images in {truth}"
        remedy = "complete them" + (", or score what both have with --common" if both else "")
        raise UserError(f"{reason}: {remedy}")
    notices = []
    if lacking:
        left_out = [f"{some(missing)} without prediction"] if missing else []
        left_out += [f"{some(extra)} without truth"] if extra else []
        count = f"{len(both)} image{'' if len(both) == 1 else 's'}"
        notices = [f"scored what both sides have, {count}; left out: {'; '.join(left_out)}"]
    return Matched(both, notices)
