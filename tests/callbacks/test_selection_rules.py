"""The figures of a training by several rules: what is written and printed, also after interruptions."""

import csv
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from fusionseg.callbacks import SelectionRules
from fusionseg.config.errors import UsageError
from fusionseg.data.synthetic import SyntheticScenes
from fusionseg.heads import DepthHead, ExtraHead
from fusionseg.metrics import MTANDepthMetrics
from fusionseg.trainer import Trainer

QUIET: dict[str, Any] = {"accelerator": "cpu", "precision": "32-true", "enable_progress_bar": False}


@pytest.fixture
def fit(small: Any, datamodule: Any) -> Any:
    """Trains classes and depth for some epochs of a step in a folder."""

    def trained(folder: Path, epochs: int, resume: bool = False, **options: Any) -> Path:
        torch.manual_seed(0)
        data = datamodule(dataset=partial(SyntheticScenes, length=4, size=(64, 64), depth=True))
        heads = {"depth": ExtraHead(DepthHead)}
        module = small(region_head=None, extra_heads=heads, metrics=[MTANDepthMetrics])
        given = {
            "callbacks": [SelectionRules()],
            "limit_train_batches": 1,
            "limit_val_batches": 1,
            **QUIET,
            **options,
        }
        trainer = Trainer(default_root_dir=folder, max_epochs=epochs, **given)
        trainer.fit(module, data, ckpt_path=trainer.run.last if resume else None)
        return folder

    return trained


def content(run: Path) -> Any:
    return json.loads((run / "selection_rules.json").read_text())


def column(run: Path, figure: str) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row[figure]) for row in csv.DictReader(file) if row[figure]]


@pytest.mark.slow
def test_the_file_has_every_rule_and_its_difference_to_the_last_epoch(
    fit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(tmp_path, 3)
    found = content(run)
    summary = json.loads((run / "summary.json").read_text())
    assert list(found["rules"]) == ["last", "best", "mean_of_last_10"]
    assert found["monitor"] == "val/score"
    assert found["better"]["val/depth_abs_error_mtan"] == "lower"
    assert found["better"]["val/miou"] == "higher"
    for figure in ("val/miou", "val/depth_abs_error_mtan", "val/loss"):
        values = column(run, figure)
        expected = {
            "last": values[-1],
            "best": values[summary["best"]["epoch"]],
            "mean_of_last_10": statistics.fmean(values),
        }
        for name, value in expected.items():
            assert found["rules"][name]["figures"][figure] == pytest.approx(value, rel=1e-14)
            if name != "last":
                difference = found["rules"][name]["differences"][figure]
                assert difference == pytest.approx(value - values[-1], abs=1e-14)
    assert found["rules"]["best"]["epochs"] == [summary["best"]["epoch"]]
    assert found["rules"]["mean_of_last_10"]["epochs"] == [0, 1, 2]
    assert "differences" not in found["rules"]["last"]
    text = capsys.readouterr().out
    assert "epochs 1 to 3" in text
    assert f"{column(run, 'val/miou')[-1]:.4f}" in text


class Broken(SelectionRules):
    """Breaks the training at the beginning of its last epoch."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == trainer.max_epochs - 1:
            raise RuntimeError("broken")


@pytest.mark.slow
def test_a_resumed_training_has_the_rules_of_one_that_was_not_interrupted(fit: Any, tmp_path: Path) -> None:
    whole = content(fit(tmp_path / "whole", 2))
    with pytest.raises(RuntimeError, match="broken"):
        fit(tmp_path / "parts", 2, callbacks=[Broken()])
    assert not (tmp_path / "parts" / "selection_rules.json").exists()
    assert content(fit(tmp_path / "parts", 2, resume=True)) == whole
    assert whole["rules"]["mean_of_last_10"]["epochs"] == [0, 1]


@pytest.mark.slow
def test_a_training_that_goes_on_has_no_rules_of_its_earlier_end(fit: Any, tmp_path: Path) -> None:
    assert content(fit(tmp_path, 1))["rules"]["last"]["epochs"] == [0]
    with pytest.raises(RuntimeError, match="broken"):
        fit(tmp_path, 2, resume=True, callbacks=[Broken()])
    assert not (tmp_path / "selection_rules.json").exists()


def test_undefined_figures_are_null_in_the_file_and_nan_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,val/score\n0,1,nan\n1,2,nan\n")
    trainer: Any = type("Trainer", (), {"default_root_dir": str(tmp_path), "is_global_zero": True})()
    SelectionRules().on_fit_end(trainer, None)  # type: ignore[arg-type]
    rules = content(tmp_path)["rules"]
    assert rules["last"] == {"epochs": [1], "figures": {"val/score": None}}
    assert rules["best"] == {"epochs": [], "figures": {}, "differences": {}}
    assert rules["mean_of_last_10"]["differences"] == {"val/score": None}
    assert "none" in capsys.readouterr().out


def test_the_last_epoch_is_among_the_rules_in_any_case() -> None:
    assert list(SelectionRules(["mean_of_last_3"]).rules) == ["last", "mean_of_last_3"]


def test_rules_that_are_none_or_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="expected rules of last, best"):
        SelectionRules(["worst"])
    with pytest.raises(ValueError, match="expected each rule once, found best twice"):
        SelectionRules(["best", "best"])


def test_a_training_without_a_table_of_metrics_is_refused(fit: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reads metrics\.csv, which `logger: false` leaves out"):
        fit(tmp_path, 1, logger=False)
    assert not (tmp_path / "summary.json").exists()


def test_a_trial_run_leaves_nothing(fit: Any, tmp_path: Path) -> None:
    fit(tmp_path / "run", 1, fast_dev_run=True)
    assert not (tmp_path / "run" / "selection_rules.json").exists()
