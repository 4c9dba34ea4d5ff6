import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule

from fusionseg.callbacks.record import RunRecord
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.runs.wandb_logger import RunLogger


class Run:
    """What W&B's run does with figures: the last one stays, unless told otherwise."""

    id, project = "abc", "fusionseg"

    def __init__(self) -> None:
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}


class Logger(RunLogger):
    """One that opens no run."""

    def __init__(self) -> None:
        self.run, self.reason, self.folder = Run(), "", Path()

    @property
    def experiment(self) -> Any:
        return self.run


RECORD = {"best": {}, "images": 0, "seconds": 0.0, "spent": 0.0, "metrics": {}, "rows": [], "ranks": 1}
"""What a checkpoint holds of a run that had not validated."""


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    return SimpleNamespace(
        default_root_dir=str(tmp_path),
        is_global_zero=True,
        sanity_checking=False,
        current_epoch=0,
        callback_metrics={},
        loggers=[Logger()],
        world_size=1,
        precision="32-true",
        strategy=SimpleNamespace(root_device=torch.device("cpu"), broadcast=lambda value: value),
        global_rank=0,
        global_step=0,
        datamodule=SegmentationDataModule(fraction=0.5),
        state=SimpleNamespace(fn="fit"),
        **dict.fromkeys(("max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val")),
    )


def begun(record: RunRecord, trainer: Any) -> None:
    record.setup(trainer, LightningModule(), "fit")
    record.on_train_start(trainer, LightningModule())


def validated(record: RunRecord, trainer: Any, scores: list[float]) -> None:
    for trainer.current_epoch, score in enumerate(scores):
        trainer.callback_metrics = {"val/score": torch.tensor(score), "train/loss": torch.tensor(9.0)}
        trainer.loggers[0].run.summary["val/score"] = score
        record.on_validation_end(trainer, LightningModule())


def test_the_summary_of_wandb_is_that_of_the_best_epoch(trainer: Any) -> None:
    record = RunRecord()
    validated(record, trainer, [0.25, 0.75, 0.5])
    assert record.best == {"epoch": 1, "metrics": {"val/score": 0.75}}
    assert trainer.loggers[0].run.summary == {"val/score": 0.75, "best/epoch": 1}


def test_a_check_before_training_is_no_epoch(trainer: Any) -> None:
    trainer.sanity_checking = True
    record = RunRecord()
    validated(record, trainer, [0.9])
    assert record.best == {}


def test_a_run_from_python_is_written_as_the_command_line_reads_it(
    trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    begun(RunRecord(), trainer)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["seed_everything"] == 7
    assert config["data"]["init_args"]["fraction"] == 0.5
    assert config["trainer"]["precision"] == "32-true"
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["status"], told["seed"], told["best"]) == ("running", 7, {})
    assert told["wandb"] == {"id": "abc", "project": "fusionseg"}
    assert trainer.loggers[0].run.config["data"] == config["data"]


def test_what_no_file_can_hold_is_refused_before_training(trainer: Any, tmp_path: Path) -> None:
    model = LightningModule()
    model.save_hyperparameters({"activation": lambda x: x})
    with pytest.raises(ValueError, match="no name to rebuild it by"):
        RunRecord().setup(trainer, model, "fit")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "interrupted"), (ValueError("wrong"), "failed")]
)
def test_how_a_training_ended_is_written(
    error: BaseException, status: str, trainer: Any, tmp_path: Path
) -> None:
    record = RunRecord()
    record.on_exception(trainer, LightningModule(), error)
    assert not list(tmp_path.iterdir())
    begun(record, trainer)
    record.on_exception(trainer, LightningModule(), error)
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == status
    kept = [path.read_text() for path in tmp_path.glob("traceback*")]
    assert kept == (["ValueError: wrong\n"] if status == "failed" else [])


def test_a_start_that_is_refused_changes_nothing(trainer: Any, tmp_path: Path) -> None:
    record = RunRecord()
    record.setup(trainer, LightningModule(), "fit")
    record.on_load_checkpoint(trainer, LightningModule(), {"record": {**RECORD, "rows": [3]}})
    record.on_exception(trainer, LightningModule(), ValueError())
    assert not list(tmp_path.iterdir())


def test_the_commit_is_gits(trainer: Any, tmp_path: Path) -> None:
    begun(RunRecord(), trainer)
    told = json.loads((tmp_path / "summary.json").read_text())
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        expected = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        expected = None
    assert told["commit"] == expected


def test_a_second_training_keeps_the_rows_of_the_first(trainer: Any) -> None:
    record = RunRecord()
    record.setup(trainer, LightningModule(), "fit")
    record.on_load_checkpoint(trainer, LightningModule(), {"record": {**RECORD, "rows": [3]}})
    assert (record.rows, record.resumed) == ([3], True)
    record.setup(trainer, LightningModule(), "fit")
    assert (record.rows, record.resumed) == ([], False)
