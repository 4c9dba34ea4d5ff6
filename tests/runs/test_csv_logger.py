import csv
from pathlib import Path

import pytest

from fusionseg.runs.csv_logger import MetricsLogger


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def logged(path: Path, start: int = 0, stop: int = 6) -> MetricsLogger:
    """A logger of steps of which every third has a column of its own."""
    logger = MetricsLogger(path)
    if start:
        logger.keep(start)
    for step in range(start, stop):
        logger.log_metrics({"train/loss": step / 3, "epoch": step // 2}, step)
        if step % 3 == 2:
            logger.log_metrics({"val/miou": step / 7, "epoch": step // 2}, step)
    return logger


def test_every_row_is_on_disk_at_once(tmp_path: Path) -> None:
    logger = MetricsLogger(tmp_path / "metrics.csv")
    for step in range(3):
        logger.log_metrics({"a": 0.1 * step, "epoch": 0}, step)
        assert rows(logger.path)[-1] == {"epoch": "0", "step": str(step), "a": str(0.1 * step)}


def test_new_columns_come_last_and_old_rows_stay(tmp_path: Path) -> None:
    found = rows(logged(tmp_path / "metrics.csv").path)
    assert list(found[0]) == ["epoch", "step", "train/loss", "val/miou"]
    assert [row["val/miou"] for row in found] == ["", "", "", str(2 / 7), "", "", "", str(5 / 7)]


@pytest.mark.parametrize("written", range(1, 6))
@pytest.mark.parametrize("torn", [b"", b"1,2,0.5", b"9,9,9,9,9,9\n"])
def test_a_table_goes_on_behind_the_rows_that_are_kept(written: int, torn: bytes, tmp_path: Path) -> None:
    whole, other = logged(tmp_path / "whole.csv"), tmp_path / "other.csv"
    logged(other)
    other.write_bytes(other.read_bytes() + torn)
    kept = written + written // 3
    logger = MetricsLogger(other)
    logger.keep(kept)
    assert len(rows(other)) == kept
    for step in range(written, 6):
        logger.log_metrics({"train/loss": step / 3, "epoch": step // 2}, step)
        if step % 3 == 2:
            logger.log_metrics({"val/miou": step / 7, "epoch": step // 2}, step)
    assert other.read_bytes() == whole.path.read_bytes()


def test_rows_that_are_gone_are_missed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"metrics.csv: expected the 3 rows .*, found 0"):
        MetricsLogger(tmp_path / "metrics.csv").keep(3)
    logged(tmp_path / "metrics.csv", stop=2)
    with pytest.raises(ValueError, match=r"expected the 3 rows .*, found 2"):
        MetricsLogger(tmp_path / "metrics.csv").keep(3)
