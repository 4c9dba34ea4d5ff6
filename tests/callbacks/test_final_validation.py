from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch import Callback
from lightning.pytorch.demos.boring_classes import BoringModel

from fusionseg.callbacks import FinalValidation
from fusionseg.config.lightning_messages import quiet

Plan = Callable[..., pl.Trainer]


class Watch(Callback):
    """After how many steps validations come."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self.steps.append(trainer.global_step)


@pytest.mark.parametrize(
    ("length", "steps"),
    [
        pytest.param({"max_epochs": 5, "check_val_every_n_epoch": 2}, [8, 16, 20], id="epochs"),
        pytest.param({"max_epochs": 4, "check_val_every_n_epoch": 2}, [8, 16], id="epochs that end with one"),
        pytest.param({"max_epochs": 1, "val_check_interval": 3}, [3, 4], id="batches"),
        pytest.param({"max_steps": 6, "check_val_every_n_epoch": 5}, [6], id="steps within an epoch"),
        pytest.param({"max_steps": 8, "check_val_every_n_epoch": 3}, [8], id="steps to the end of one"),
        pytest.param(
            {"max_steps": 9, "max_epochs": -1, "check_val_every_n_epoch": 2}, [8, 9], id="a step more"
        ),
    ],
)
def test_a_training_ends_with_one_validation_whichever_are_due(
    length: dict[str, int], steps: list[int], plan: Plan
) -> None:
    watch = Watch()
    options: dict[str, Any] = {"max_epochs": 9, "limit_train_batches": 4, "limit_val_batches": 1, **length}
    with quiet():
        plan(callbacks=[FinalValidation(), watch], **options).fit(BoringModel())
    assert watch.steps == steps


def test_a_further_training_validates_as_often_as_the_trainer_was_told(plan: Plan) -> None:
    trainer = plan(
        callbacks=[FinalValidation()], max_epochs=3, check_val_every_n_epoch=2, limit_train_batches=1
    )
    with quiet():
        trainer.fit(BoringModel())
    assert trainer.check_val_every_n_epoch == 2
