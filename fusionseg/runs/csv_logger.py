"""Logs metrics to a CSV file that is continued when a run is resumed."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.loggers import Logger

from fusionseg.config.errors import UserError
from fusionseg.files.atomic import write_text

Row: TypeAlias = dict[str, float | str | None]
"""Values by column; those that were read from a file are text."""


class MetricsLogger(Logger):
    """Writes one row per call of `log_metrics` to a CSV file, immediately.

    Columns appear in the order in which they are first logged. A resumed run continues after the rows that
    its checkpoint counts (`keep`), so that no row is there twice.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[Row] = []
        self.columns: list[str] = []

    @property
    def name(self) -> str:
        """The name of the file without its suffix."""
        return self.path.stem

    @property
    def version(self) -> str:
        """Empty: there is one file per run."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *_: object, **__: object) -> None:
        """Does nothing: hyperparameters are in the config.yaml of the run."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends a row; the file is rewritten only if there are new columns.

        Args:
            metrics: Values by name; `epoch` becomes the first column, as an integer.
            step: Number of optimizer steps so far.
        """
        row: Row = {}
        if "epoch" in metrics:
            row["epoch"] = int(metrics["epoch"])
        row["step"] = step
        row |= {name: value for name, value in metrics.items() if name != "epoch"}
        self.rows.append(row)
        if not self.path.exists() or self._add_columns(row):
            self._write()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(self._text([row]))

    @rank_zero_only
    def keep(self, count: int) -> list[Row]:
        """Keeps the first rows of an existing file, deletes the others and returns them.

        Args:
            count: The number of rows to keep.

        Raises:
            UserError: If there are fewer rows.
        """
        rows: list[dict[str, str]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
                rows = list(csv.DictReader(file))
        if len(rows) < count:
            raise UserError(
                f"{self.path}: expected the {count} rows that the checkpoint knows of, found {len(rows)}"
            )
        written: list[Row] = [{name: value for name, value in row.items() if value} for row in rows]
        self.rows = written[:count]
        self.columns = []
        self._write()
        return written[count:]

    @rank_zero_only
    def save(self) -> None:
        """Flushes all rows to disk."""
        if self.path.is_file():
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())

    def _add_columns(self, row: Row) -> bool:
        """Adds the columns of a row that are new, and returns whether there are any."""
        new = [name for name in row if name not in self.columns]
        self.columns += new
        return bool(new)

    def _write(self) -> None:
        """Writes the whole file atomically."""
        for row in self.rows:
            self._add_columns(row)
        header: Row = dict(zip(self.columns, self.columns, strict=True))
        write_text(self.path, self._text([header, *self.rows] if self.columns else []))

    def _text(self, rows: list[Row]) -> str:
        """Rows as lines of CSV."""
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue()
