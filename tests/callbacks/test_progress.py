import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fusionseg.callbacks.progress import FusionProgress


def trained(bar: FusionProgress, epochs: int = 3, steps: int = 4, every: int = 1) -> None:
    """Calls the hooks of a progress bar as a training would."""
    trainer: Any = SimpleNamespace(
        global_step=0,
        current_epoch=0,
        max_epochs=epochs,
        is_global_zero=True,
        estimated_stepping_batches=epochs * steps,
        callback_metrics={"val/score": torch.tensor(0.5), "val/voi": torch.tensor(9.0)},
    )
    module: Any = SimpleNamespace(loss_log=SimpleNamespace(latest={"train/loss": 2.0}))
    bar.on_train_start(trainer, module)
    for trainer.current_epoch in range(epochs):
        for _ in range(steps):
            trainer.global_step += 1
            bar.on_train_batch_end(trainer, module)
        if trainer.current_epoch % every == every - 1:
            bar.on_validation_end(trainer, module)
        bar.on_train_epoch_end(trainer, module)
    bar.on_train_end(trainer, module)


def test_without_a_terminal_each_epoch_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    trained(FusionProgress())
    out, err = capsys.readouterr()
    assert out == ""
    for number, line in enumerate(err.splitlines(), 1):
        assert re.fullmatch(
            rf"epoch {number}/3  loss 2\.000  [\d.]+ steps/s  val/score 0\.500  left \d+:\d\d", line
        )
    assert number == 3
    assert line.endswith("left 0:00")


def test_metrics_are_shown_after_epochs_with_a_validation(capsys: pytest.CaptureFixture[str]) -> None:
    trained(FusionProgress(), epochs=5, every=2)
    assert ["val/score" in line for line in capsys.readouterr().err.splitlines()] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_a_bar_ends_full_and_every_epoch_keeps_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    bar = FusionProgress(interactive=True)
    trained(bar)
    out, err = capsys.readouterr()
    assert out == ""
    assert bar.bar is None
    assert [line[:9] for line in err.splitlines() if "val/score" in line] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]
    assert re.search(r"epoch 3/3 .* 12/12 ", err.splitlines()[-1])


def test_a_disabled_bar_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    for interactive in (True, False):
        bar = FusionProgress(interactive)
        bar.disable()
        trained(bar)
        assert capsys.readouterr() == ("", "")


def test_it_watches_where_standard_error_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert FusionProgress().interactive is terminal


def test_the_time_left_is_that_of_the_steps_left() -> None:
    bar = FusionProgress(interactive=False)
    bar.start, bar.first, bar.steps = 0.0, 10, 30
    now = pytest.MonkeyPatch()
    now.setattr("fusionseg.callbacks.progress.time.monotonic", lambda: 50.0)
    trainer: Any = SimpleNamespace(global_step=15)
    assert bar._left(trainer) == "2:30"  # 15 more at 10 s each
    now.undo()
