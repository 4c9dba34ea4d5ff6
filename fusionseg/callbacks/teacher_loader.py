"""Readies the model that another one is to learn from."""

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from fusionseg.callbacks.training_files import TrainingFiles
from fusionseg.config.errors import UsageError
from fusionseg.data.augmentation import Augmentation
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.engine.teacher import Teacher, task_weights
from fusionseg.module import FusionModule
from fusionseg.runs import training_files
from fusionseg.runs.trained_model import TrainedModel, trained_model


class TeacherLoader(Callback):
    """Hands the model that `model.teacher` names to a FusionModule before its training begins.

    What the teacher was trained on counts as what the run was trained on, so that it is not scored as unseen.

    Args:
        files: Keeps the list of what the run was trained on.
    """

    def __init__(self, files: TrainingFiles | None = None) -> None:
        self.files = files
        self.trust: Iterable[str] = ()
        """Packages to trust beside those of `fusionseg.config.trust`, where the teacher has parts of them."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit" or not isinstance(pl_module, FusionModule):
            return
        distillation = pl_module.distillation
        teacher = distillation.teacher
        data = getattr(trainer, "datamodule", None)
        if teacher is None and getattr(data, "unlabelled", None) is not None:
            raise UsageError(
                "images without labels teach nothing without a teacher: set model.teacher.weight to 1",
                "data.unlabelled",
            )
        known = distillation.taught is not None  # by an earlier fit, or by hand
        averages = distillation.mean is not None if known else teacher is not None and teacher.run is None
        if isinstance(data, SegmentationDataModule):
            show_own_colors(data, averages)
        if self.files is not None:
            self.files.inherited |= distillation.images
        if teacher is None or known:
            return
        if teacher.run is None:
            distillation.learn_from_mean()
            if trainer.is_global_zero:
                print("teacher: the running mean of the model's own weights", file=sys.stderr)
            return
        run = Path(teacher.run)
        if not run.exists():
            raise UsageError(
                f"expected a run folder, a checkpoint or a saved model, found no {run}", "model.teacher.run"
            )
        found = trained_model(run, untuned=True, trust=self.trust)
        check_teacher(pl_module, found, teacher)
        seen = training_files.of_model(run)
        distillation.learn_from(found.model.network, found.digest, seen)
        if self.files is not None:
            self.files.inherited |= seen
        unknown = (
            "" if seen else f"which images {run} was trained on is not known: none of them counts as seen"
        )
        for line in (unknown, other_images(found, data)):
            if line and trainer.is_global_zero:
                print(line, file=sys.stderr)


def show_own_colors(data: SegmentationDataModule, wanted: bool) -> None:
    """Has training samples show each view in the image's own colors too, which a mean teacher sees, or not.

    Args:
        data: The data, of which an earlier training may have had another teacher.
        wanted: Whether there is a mean teacher.

    Raises:
        UsageError: If a view may show another place than its image, or the views are kept as features.
    """
    data.weak_views = wanted
    if not wanted:
        return
    if data.features is not None:
        raise UsageError("expected no features for a mean teacher, which sees other views", "data.features")
    if moving := [type(change).__name__ for change in data.augmentation.changes if change.moves]:
        raise UsageError(
            f"expected changes that leave each pixel where it is, as a mean teacher sees the view without "
            f"them, found {', '.join(moving)}",
            "data.augmentation.changes",
        )
    kind = type(data.augmentation)
    if kind.__call__ is not Augmentation.__call__ and kind.two_views is Augmentation.two_views:
        raise UsageError(
            f"expected an augmentation whose calls go through two_views, as a mean teacher sees both views, "
            f"found {kind.__name__} with a __call__ of its own: override two_views instead",
            "data.augmentation",
        )


def check_teacher(model: FusionModule, found: TrainedModel, teacher: Teacher) -> None:
    """Raises a UsageError if a model cannot teach another, as it is of another kind or of other classes."""
    if not isinstance(found.model, FusionModule):
        raise UsageError(
            f"expected a FusionModule, found a {type(found.model).__name__} in {found.file}", "model.teacher"
        )
    heads = found.model.heads
    compared = task_weights(teacher, model.heads, heads)
    of_classes = [t for t in compared if "num_classes" in inspect.signature(type(heads[t])).parameters]
    if of_classes and (differing := model.classes.differences(found.model.classes)):
        raise UsageError(
            f"expected a teacher of the data's classes, found others in {found.file}: {differing[0]}; choose "
            f"another, or leave {', '.join(of_classes)} out of model.teacher.weight",
            "model.teacher.run",
        )


def other_images(found: TrainedModel, data: Any) -> str:
    """A line where a teacher was trained on images of another size than its student will be; else empty."""
    given = getattr(data, "hparams", {})
    differing = [
        f"data.{name} {found.data[name]} instead of {given[name]}"
        for name in ("scale", "resize")
        if name in given and name in found.data and found.data[name] != given[name]
    ]
    return f"the teacher was trained with {' and '.join(differing)}" if differing else ""
