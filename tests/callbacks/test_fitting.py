from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import BackboneFinetuning, EarlyStopping, LearningRateFinder, ModelCheckpoint
from torch import nn

from fusionseg.callbacks.fitting import check_callbacks
from fusionseg.commands.fit import main
from fusionseg.config.errors import UsageError

MISFITS = {
    "ModelCheckpoint": r"trainer.callbacks.dirpath: expected a folder for ModelCheckpoint, found null: name one",
    "BackboneFinetuning": r"trainer.callbacks: found BackboneFinetuning, .* set model.freeze_encoder_epochs",
    "BatchSizeFinder": r"trainer.callbacks: found BatchSizeFinder, .* and set data.batch_size",
    "LearningRateFinder": r"trainer.callbacks: found LearningRateFinder, .* and set model.optimizer.lr",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MISFITS)
def test_a_callback_that_does_not_fit_is_one_line_with_the_key_and_leaves_nothing(
    name: str, tiny: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=MISFITS[name]):
        main([*tiny, "--trainer.callbacks", name, "--out", str(tmp_path / "run")])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_pruning_works_where_weights_would_lie_channels_last(tiny: list[str], tmp_path: Path) -> None:
    pruning = ["--trainer.callbacks", "ModelPruning", "--trainer.callbacks.pruning_fn", "l1_unstructured"]
    words = [*tiny, *pruning, "--trainer.callbacks.amount", "0.5", "--trainer.precision", "bf16-mixed"]
    main([*words, "--out", str(tmp_path / "run")])
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    weights = torch.cat([weight.flatten() for weight in state.values() if weight.ndim == 4])
    assert (weights == 0).float().mean() > 0.4
    with pytest.raises(
        UsageError, match=r"channels_last: expected false or null with ModelPruning, found true"
    ):
        main([*words, "--model.backbone.channels_last", "true", "--out", str(tmp_path / "other")])


class Whole(LightningModule):
    """What the callbacks look for."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        self.lr = 0.1


@pytest.mark.parametrize("made", [BackboneFinetuning, LearningRateFinder, lambda: EarlyStopping("val/loss")])
def test_callbacks_that_fit_are_kept(made: Any) -> None:
    check_callbacks([made()], Whole())


def test_a_checkpoint_with_a_folder_fits_every_model(tmp_path: Path) -> None:
    callbacks: list[Callback] = [ModelCheckpoint(tmp_path)]
    check_callbacks(callbacks, LightningModule())
