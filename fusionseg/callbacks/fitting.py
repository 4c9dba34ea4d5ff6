"""Checks that callbacks can do their work with a model, before training starts."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
)
from torch import nn

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.engine.evaluation import validation_figures
from fusionseg.networks.encoder import Encoder


def check_callbacks(callbacks: Iterable[Callback], model: Any) -> None:
    """Refuses callbacks that look for what a model does not have, and checkpoints without a folder.

    Pruning takes weights as vectors, for which they must lie contiguous in memory: the model is told so.

    Raises:
        UsageError: If one does not fit; it names the setting to use.
    """
    for callback in callbacks:
        name = type(callback).__name__
        if isinstance(callback, ModelCheckpoint) and not callback.dirpath:
            raise UsageError(
                f"expected a folder for {name}, found null: name one, or leave the callback out, as the best "
                "and the last checkpoint are saved anyway",
                "trainer.callbacks.dirpath",
            )
        if isinstance(callback, BackboneFinetuning) and not isinstance(
            getattr(model, "backbone", None), nn.Module
        ):
            raise UsageError(
                f"found {name}, but the model has no module `backbone`: leave it out, and set "
                "model.freeze_encoder_epochs and model.encoder_lr",
                "trainer.callbacks",
            )
        if isinstance(callback, BatchSizeFinder):
            raise UsageError(
                f"found {name}, which changes the batch size that config.yaml and a resumed run have: leave "
                "it out, and set data.batch_size",
                "trainer.callbacks",
            )
        if isinstance(callback, ModelPruning):
            _lay_contiguous(model)
        if isinstance(callback, LearningRateFinder) and not _has_rate(model):
            raise UsageError(
                f"found {name}, but the model has neither `lr` nor `learning_rate`, since that is the "
                "optimizer's: leave it out, and set model.optimizer.lr",
                "trainer.callbacks",
            )


def check_monitor(monitor: str, model: Any) -> None:
    """Raises a UsageError if validation does not log the figure that decides which epoch is the best."""
    known = validation_figures(model)
    if not monitor.startswith("val/") or (known and monitor not in known):
        raise UsageError(
            "expected a figure of the validation such as val/score, found "
            f"{monitor!r}{nearest(monitor, known)}",
            "trainer.monitor",
        )


def _lay_contiguous(model: Any) -> None:
    """Makes a model's images and weights lie contiguous, as far as that is not decided."""
    encoder = getattr(getattr(model, "network", None), "encoder", None)
    if not isinstance(encoder, Encoder):
        return
    if encoder.channels_last:
        raise UsageError(
            "expected false or null with ModelPruning, found true", "model.backbone.channels_last"
        )
    encoder.channels_last = False


def _has_rate(model: Any) -> bool:
    known = getattr(model, "hparams", {})
    return any(hasattr(model, name) or name in known for name in ("lr", "learning_rate"))
