"""The figures of a run as a CSV file that survives its interruptions."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.loggers import Logger

from fusionseg.files.atomic import write_text


class MetricsLogger(Logger):
    """A CSV file with a row for each thing that is logged, on disk as soon as it is.

    Columns appear in the order in which they are first needed. A run that is continued goes on behind the rows that its
    checkpoint knows of (`keep`), so that none is there twice.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.columns: list[str] = []

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.stem

    @property
    def version(self) -> str:
        """None in particular."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """They are in the run's config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds a row."""
        row: dict[str, Any] = {"epoch": int(metrics["epoch"])} if "epoch" in metrics else {}
        row |= {"step": step, **{name: value for name, value in metrics.items() if name != "epoch"}}
        self.rows.append(row)
        if not self.path.exists() or self._widen(row):
            self._write()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(self._text([row]))

    @rank_zero_only
    def keep(self, count: int) -> None:
        """Takes the first rows of the file for its own, and drops the others.

        Raises:
            ValueError: If there are fewer.
        """
        rows: list[dict[str, Any]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
                rows = list(csv.DictReader(file))[:count]
        if len(rows) < count:
            raise ValueError(
                f"{self.path}: expected the {count} rows that the checkpoint knows of, found {len(rows)}"
            )
        self.rows = [{name: value for name, value in row.items() if value} for row in rows]
        self.columns = []
        for row in self.rows:
            self._widen(row)
        self._write()

    @rank_zero_only
    def save(self) -> None:
        """Waits until all rows are on the disk."""
        if self.path.is_file():
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())

    def _widen(self, row: Mapping[str, Any]) -> bool:
        """Adds the columns that a row needs, and tells whether there were any."""
        new = [name for name in row if name not in self.columns]
        self.columns += new
        return bool(new)

    def _write(self) -> None:
        for row in self.rows:
            self._widen(row)
        header = dict(zip(self.columns, self.columns, strict=True))
        write_text(self.path, self._text([header, *self.rows] if self.columns else []))

    def _text(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue()
