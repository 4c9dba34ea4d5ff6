import math
from pathlib import Path

import pytest

from fusionseg.config.errors import UserError
from fusionseg.runs.csv_logger import MetricsLogger
from fusionseg.runs.validations import Validation, validations


def test_validations_are_the_rows_with_their_figures(tmp_path: Path) -> None:
    log = MetricsLogger(tmp_path / "metrics.csv")
    log.log_metrics({"train/loss": 2.0, "epoch": 0}, 5)
    log.log_metrics({"val/miou": 0.1 + 0.2, "val/loss": math.nan, "epoch": 0}, 10)
    log.log_metrics({"train/loss": 1.0, "epoch": 1}, 15)
    log.log_metrics({"val/miou": 0.5, "epoch": 1}, 20)
    first, second = validations(tmp_path / "metrics.csv")
    assert first.epoch == 0
    assert first.figures["val/miou"] == 0.1 + 0.2
    assert math.isnan(first.figures["val/loss"])
    assert second == Validation(1, {"val/miou": 0.5})


def test_what_a_callback_logs_apart_is_of_the_same_validation(tmp_path: Path) -> None:
    log = MetricsLogger(tmp_path / "metrics.csv")
    for step, miou in ((10, 0.1), (20, 0.2)):
        log.log_metrics({"val/miou": miou, "epoch": 0}, step)
        log.log_metrics({"val/distance": 10 * miou, "epoch": 0}, step - 1)
    log.log_metrics({"val/distance": 5.0, "epoch": 1}, 30)
    assert validations(tmp_path / "metrics.csv") == [
        Validation(0, {"val/miou": 0.1, "val/distance": 1.0}),
        Validation(0, {"val/miou": 0.2, "val/distance": 2.0}),
        Validation(1, {"val/distance": 5.0}),
    ]


@pytest.mark.parametrize("row", ["0,10,many", ",10,0.5", "first,10,0.5", "0,10,0.\xff5"])
def test_a_damaged_row_is_named(row: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(f"epoch,step,val/miou\n0,5,0.25\n{row}\n", encoding="latin-1")
    with pytest.raises(UserError, match=rf"expected an epoch and numbers in line 3 of {file}"):
        validations(file)


def test_a_file_without_validations_has_none(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,step,train/loss\n0,5,0.25\n")
    assert validations(file) == []
