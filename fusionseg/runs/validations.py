"""The validations of a run, as its `metrics.csv` has them."""

import csv
from pathlib import Path
from typing import NamedTuple

from fusionseg.config.errors import UserError


class Validation(NamedTuple):
    """One validation.

    Args:
        epoch: Of which epoch it is, counted from 0.
        figures: The figures, such as `val/miou`; NaN where undefined.
    """

    epoch: int
    figures: dict[str, float]


def validations(path: Path) -> list[Validation]:
    """The validations in a `metrics.csv`, in their order; those of all parts of a resumed run.

    Rows of an epoch that have no figure in common are of one validation, of which a callback has logged some
    apart.

    Args:
        path: The file.

    Raises:
        UserError: If it is not such a file.
    """
    found: list[Validation] = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            texts = {name: text for name, text in row.items() if text and str(name).startswith("val/")}
            if not texts:
                continue
            try:
                one = Validation(int(row["epoch"]), {name: float(text) for name, text in texts.items()})
            except (KeyError, ValueError) as error:
                raise UserError(
                    f"expected an epoch and numbers in line {line} of {path}, found {row}: it was changed or "
                    "damaged"
                ) from error
            if found and found[-1].epoch == one.epoch and not found[-1].figures.keys() & one.figures.keys():
                found[-1].figures.update(one.figures)
            else:
                found.append(one)
    return found
