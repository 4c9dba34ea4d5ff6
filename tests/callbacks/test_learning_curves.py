from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fusionseg.callbacks import learning_curves as tested
from fusionseg.callbacks.learning_curves import LearningCurves
from fusionseg.commands import fit
from fusionseg.metrics import MetricSuite, RegionMetrics, SemanticMetrics
from fusionseg.runs.csv_logger import MetricsLogger


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    table = MetricsLogger(tmp_path / "metrics.csv")
    return SimpleNamespace(
        state=SimpleNamespace(fn="fit"),
        sanity_checking=False,
        is_global_zero=True,
        loggers=[table],
        default_root_dir=str(tmp_path),
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn, instead of drawing it."""
    seen: list[Any] = []

    def draw(rows: Any, figures: Any) -> Any:
        seen.append((rows, figures))
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(tested, "learning_curves", draw)
    return seen


def validate(trainer: Any, callback: LearningCurves, module: Any = None) -> None:
    row = {"val/score": 0.5, "val/miou": 0.6, "val/f1": 0.4, "val/loss": 1.0, "epoch": 0}
    trainer.loggers[0].log_metrics(row, 10)
    callback.on_validation_end(trainer, module)


@pytest.mark.slow
def test_a_training_leaves_its_curves_and_one_validation_makes_none(tiny: list[str], tmp_path: Path) -> None:
    fit.main([*tiny, "--out", str(tmp_path / "two")])
    fit.main([*tiny, "--trainer.max_epochs", "1", "--out", str(tmp_path / "one")])
    with Image.open(tmp_path / "two" / "curves.png") as picture:
        assert picture.size == (1100, 720)
    assert not (tmp_path / "one" / "curves.png").exists()


def test_drawing_takes_no_more_than_its_share_of_the_time(
    trainer: Any, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]

    def clock() -> float:
        now[0] += 1.0  # so that a drawing seems to take a second
        return now[0]

    monkeypatch.setattr(tested.time, "monotonic", clock)
    callback = LearningCurves()
    for _ in range(200):
        validate(trainer, callback)
    spent = now[0] - 100
    assert 1 < len(drawn) <= tested.SHARE * spent + 1
    callback.on_fit_end(trainer, None)  # type: ignore[arg-type]
    assert len(drawn[-1][0]) == 200
    count = len(drawn)
    callback.on_fit_end(trainer, None)  # type: ignore[arg-type]
    assert len(drawn) == count, "nothing is new"


def test_rows_of_a_resumed_run_count_as_those_of_its_own(trainer: Any, drawn: list[Any]) -> None:
    trainer.loggers[0].rows = [
        {"epoch": "0", "step": "5", "val/score": "0.25", "val/miou": "nan", "train/lr": ""}
    ]
    validate(trainer, LearningCurves())
    assert drawn[0][0][0] == {"epoch": 0.0, "step": 5.0, "val/score": 0.25}


def test_the_figures_are_those_that_make_the_score_or_all_of_an_unknown_module(
    trainer: Any, drawn: list[Any]
) -> None:
    known: Any = SimpleNamespace(suite=MetricSuite([SemanticMetrics(2), RegionMetrics()]))
    for module in (known, SimpleNamespace()):
        callback = LearningCurves()
        validate(trainer, callback, module)
        validate(trainer, callback, module)
    assert [figures for _, figures in drawn[:1]] == [["val/score", "val/miou"]]
    assert drawn[-1][1] == ["val/score", "val/miou", "val/f1"]


@pytest.mark.parametrize("change", [{"is_global_zero": False}, {"sanity_checking": True}, {"loggers": []}])
def test_nothing_is_drawn_elsewhere(change: dict[str, Any], trainer: Any, drawn: list[Any]) -> None:
    callback = LearningCurves()
    validate(trainer, callback)
    for name, value in change.items():
        setattr(trainer, name, value)
    if trainer.loggers:
        validate(trainer, callback)
    else:
        callback.on_fit_end(trainer, None)  # type: ignore[arg-type]
    assert not drawn
