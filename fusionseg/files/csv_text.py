"""Rows as the text of a CSV file."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import TextIO, TypeAlias

Value: TypeAlias = str | int | float | None


def as_csv(rows: Sequence[Mapping[str, Value]]) -> str:
    """Rows of equal keys as CSV; NaN and None are empty cells.

    >>> as_csv([{"image": "a", "f": 0.5}, {"image": "b", "f": float("nan")}])
    'image,f\\na,0.5\\nb,\\n'
    """
    text = StringIO()
    write_rows(text, rows, list(rows[0]) if rows else [])
    return text.getvalue()


def write_rows(file: TextIO, rows: Iterable[Mapping[str, Value]], columns: Sequence[str]) -> None:
    """Writes rows as CSV, one after the other, as `as_csv` has them.

    Args:
        file: The file, opened with `newline=""`.
        rows: The rows.
        columns: Their keys, which are the first line.
    """
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Value) -> Value:
    """A value of a CSV file: nothing for NaN, and names of files whatever their bytes are."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return "" if value is None or math.isnan(value) else value
