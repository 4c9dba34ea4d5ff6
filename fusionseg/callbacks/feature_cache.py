"""Keeps the features of a frozen encoder on disk, so that no step of a training computes them."""

import math
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from fusionseg.callbacks.feature_files import fill, needed
from fusionseg.config.errors import UsageError
from fusionseg.data.frozen_features import FrozenFeatures
from fusionseg.engine.encoder_features import EncoderFeatures, encoder_of
from fusionseg.module import FusionModule
from fusionseg.sample import Sample

KEY = "data.features"


class FeatureCache(Callback):
    """Computes the features that `data.features` names before training begins, and hands them to the encoder.

    What is there already, of an earlier run or another one of a study, is used. Of several processes that
    begin at once, one computes. Without `data.features` it does nothing.
    """

    def __init__(self) -> None:
        self._features: EncoderFeatures | None = None
        self._learned: list[nn.Parameter] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit" or (recipe := _recipe(trainer)) is None:
            return
        check_frozen(pl_module, trainer, recipe)
        # else DDP would wait for their gradients, which no step computes
        self._learned = [p for p in encoder_of(pl_module.network).parameters() if p.requires_grad]
        for parameter in self._learned:
            parameter.requires_grad_(False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (recipe := _recipe(trainer)) is None:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        network: Any = pl_module.network
        network.freeze_encoder(True)
        features = EncoderFeatures(network)
        if recipe.cached:
            fill(needed(data, recipe, features), data, features, trainer.is_global_zero)
        network.freeze_encoder(False)  # until the first epoch: Lightning warns of modules in eval mode
        self._features = features

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Sample, batch_idx: int
    ) -> None:
        self._show(batch)

    def on_train_batch_end(self, *_: object) -> None:
        self._hide()

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._show(batch)

    def on_validation_batch_end(self, *_: object) -> None:
        self._hide()

    def on_exception(self, *_: object) -> None:
        self._release()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._release()

    def _release(self) -> None:
        """Leaves the encoder as it was; Lightning tears nothing down after an error."""
        self._hide()
        self._features = None
        for parameter in self._learned:
            parameter.requires_grad_()
        self._learned = []

    def _show(self, batch: Sample) -> None:
        """Hands the features of a batch to the encoder."""
        if self._features is not None:
            rows = batch["features"] if "features" in batch else self._features.of(batch["image"])
            self._features.encoder.known = self._features.pyramid(rows, batch["image"].shape[-2:])

    def _hide(self) -> None:
        if self._features is not None:
            self._features.encoder.known = None


def _recipe(trainer: Trainer) -> FrozenFeatures | None:
    """Which features a training is to keep, if any."""
    return getattr(getattr(trainer, "datamodule", None), "features", None)


def check_frozen(model: Any, trainer: Trainer, recipe: FrozenFeatures) -> None:
    """Raises a UsageError where an encoder's features change in training, or have no place."""
    if not isinstance(model, FusionModule):
        raise UsageError(f"expected a FusionModule, found a {type(model).__name__}: leave it out", KEY)
    encoder_of(model.network)
    frozen, epochs = model.fine_tuning.frozen_epochs, _epochs(trainer)
    if epochs == math.inf:
        raise UsageError(
            "expected a number of epochs or steps with data.features, whose encoder is frozen until the end, "
            "found neither: set trainer.max_epochs or trainer.max_steps",
            "trainer.max_epochs",
        )
    if epochs > frozen:
        raise UsageError(
            f"expected an encoder that is frozen for the whole training, found {frozen} of "
            f"{epochs} epochs, as for data.features: raise it, or leave data.features out",
            "model.freeze_encoder_epochs",
        )
    if model.fine_tuning.batch_norm == "reestimated":
        raise UsageError(
            "expected train or frozen with data.features, whose encoder keeps its statistics, found "
            "reestimated",
            "model.batch_norm",
        )
    if recipe.cached and trainer.datamodule.cache_dir is None:  # type: ignore[attr-defined]
        raise UsageError("expected a folder for data.features, found null", "data.cache_dir")


def _epochs(trainer: Trainer) -> float:
    """The epochs that a training has by its limits of epochs and of steps; infinity without one."""
    epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    if trainer.max_steps == -1:
        return epochs
    trainer.fit_loop.setup_data()  # else the number of batches is not known yet
    steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return min(epochs, math.ceil(trainer.max_steps / steps))
