import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule

from fusionseg.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, better
from fusionseg.callbacks.signals import Signals
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.sample import Sample
from fusionseg.trainer import Trainer


def steps_saved(minutes: float, asked: int = 0, **options: Any) -> list[int]:
    """The steps, of eight batches, after which a checkpoint was saved."""
    saved: list[int] = []
    signals = Signals()
    fixed: dict[str, Any] = {
        "accumulate_grad_batches": 1,
        "val_check_batch": 8,
        "check_val_every_n_epoch": 1,
        "max_steps": -1,
        "fast_dev_run": False,
        "is_global_zero": True,
        "world_size": 1,
    }
    fixed["fit_loop"] = SimpleNamespace(restarted_on_epoch_end=False)
    trainer: Any = SimpleNamespace(num_training_batches=8, callbacks=[signals], **fixed | options)
    trainer.save_checkpoint = lambda path, weights_only: saved.append(trainer.global_step)
    last = LastCheckpoint(Path("last.ckpt"), minutes)
    last.on_train_start(trainer, LightningModule())
    for batch in range(8):
        trainer.global_step = (batch + 1) // trainer.accumulate_grad_batches
        signals.signum = asked if batch >= 2 else 0
        signals.on_train_batch_end(trainer, LightningModule(), None, None, batch)
        last.on_train_batch_end(trainer, LightningModule(), None, None, batch)
    last.on_train_epoch_end(trainer, LightningModule())
    return saved


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"minutes": 60}, [8]),
        ({"minutes": 0}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"minutes": 0, "val_check_batch": 3}, [1, 2, 4, 5, 7, 8]),
        ({"minutes": 0, "accumulate_grad_batches": 2}, [1, 2, 3, 4]),
        ({"minutes": 60, "asked": 15}, [3, 4, 5, 6, 7, 8]),
        ({"minutes": 60, "asked": 15, "val_check_batch": 3}, [4, 5, 7, 8]),
        ({"minutes": 60, "max_steps": 5}, [5, 8]),
    ],
    ids=str,
)
def test_a_state_is_written_when_it_is_due_and_can_be_gone_on_from(
    options: dict[str, Any], expected: list[int]
) -> None:
    assert steps_saved(**options) == expected


def test_ranks_ask_the_first_whether_it_is_time_only_where_they_wait_anyway() -> None:
    asked: list[bool] = []

    def broadcast(late: bool) -> bool:
        asked.append(late)
        return True

    strategy = SimpleNamespace(broadcast=broadcast)
    assert steps_saved(60, world_size=2, log_every_n_steps=3, strategy=strategy) == [3, 6, 8]
    assert asked == [False, False]


def validated(checkpoint: BestCheckpoint, score: float, loss: float | None = None) -> bool:
    """Whether a validation with such figures would be saved as the best one."""
    figures = {"val/score": torch.tensor(score), **({} if loss is None else {"val/loss": torch.tensor(loss)})}
    strategy = SimpleNamespace(reduce_boolean_decision=bool)
    trainer: Any = SimpleNamespace(callback_metrics=figures, strategy=strategy)
    saves = checkpoint.check_monitor_top_k(trainer, figures["val/score"])
    if saves:
        checkpoint.best_k_models = {"best.ckpt": figures["val/score"]}
    return saves


def test_of_losses_and_errors_the_lowest_is_the_best_and_of_other_figures_the_highest() -> None:
    two = {"val/voi": 2.0, "val/miou": 0.2, "val/loss": 1.0}
    three = {"val/voi": 3.0, "val/miou": 0.3, "val/loss": 0.5}
    assert better(two, three, "val/voi")
    assert not better(three, two, "val/voi")
    assert better(three, two, "val/miou")
    assert better(three, two, "val/loss")
    assert not better({"val/voi": math.nan}, two, "val/voi")
    assert better(two, {"val/voi": math.nan}, "val/voi")
    assert BestCheckpoint(Path("run/best.ckpt"), "val/voi").mode == "min"
    assert BestCheckpoint(Path("run/best.ckpt"), "val/miou").mode == "max"


def test_of_equal_scores_the_lower_loss_is_the_best() -> None:
    best = BestCheckpoint(Path("run/best.ckpt"))
    found = [
        validated(best, *figures) for figures in ((0.9, 1.0), (1.0, 0.5), (1.0, 0.5), (1.0, 0.4), (0.9, 0.1))
    ]
    assert found == [True, True, False, True, False]
    resumed = BestCheckpoint(Path("elsewhere/best.ckpt"))
    resumed.load_state_dict(best.state_dict())
    assert [validated(resumed, *figures) for figures in ((1.0, 0.45), (1.0, 0.3))] == [False, True]


def test_what_was_measured_beats_what_was_not() -> None:
    best = BestCheckpoint(Path("run/best.ckpt"))
    assert [validated(best, score) for score in (math.nan, math.nan, 0.1, math.nan)] == [
        True,
        False,
        True,
        False,
    ]


def test_without_a_loss_the_first_of_equal_scores_is_the_best() -> None:
    best = BestCheckpoint(Path("run/best.ckpt"))
    assert [validated(best, score) for score in (0.5, 0.5, 0.6)] == [True, False, True]


class Saturated(LightningModule):
    """A model of one number whose score is always 1, and whose validation losses are given."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.losses = losses

    def training_step(self, batch: Sample, index: int) -> torch.Tensor:
        return self.weight * batch["image"].float().mean()  # type: ignore[no-any-return]

    def validation_step(self, batch: Sample, index: int) -> None:
        self.log("val/score", 1.0, batch_size=1)
        self.log("val/loss", self.losses[self.current_epoch], batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_the_record_and_the_checkpoint_agree_on_the_best_epoch(
    datamodule: Callable[..., SegmentationDataModule], tmp_path: Path
) -> None:
    model = Saturated([0.5, 0.3, 0.2, 0.4])
    Trainer(default_root_dir=tmp_path / "run", max_epochs=4).fit(model, datamodule())
    assert json.loads((tmp_path / "run/summary.json").read_text())["best"]["epoch"] == 2
    assert torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)["epoch"] == 2
