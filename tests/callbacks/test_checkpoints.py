from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import LightningModule

from fusionseg.callbacks.checkpoints import LastCheckpoint
from fusionseg.callbacks.signals import Signals


def steps_saved(minutes: float, asked: int = 0, **options: Any) -> list[int]:
    """The steps, of eight batches, after which a checkpoint was saved."""
    saved: list[int] = []
    signals = Signals()
    fixed: dict[str, Any] = {
        "accumulate_grad_batches": 1,
        "val_check_batch": 8,
        "max_steps": -1,
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
