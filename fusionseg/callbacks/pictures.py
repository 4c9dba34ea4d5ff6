"""Writes panels of validation images with labels and predictions during training."""

import math

from lightning.pytorch import Callback, LightningModule, Trainer

from fusionseg.engine.evaluation import Scored, Truths
from fusionseg.engine.predictions import drawables
from fusionseg.files.images import write_png
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_pictures import log_panel, log_pictures
from fusionseg.sample import Classes, Picture, Prediction, Sample, Truth
from fusionseg.visualize import caption, legend, panel, photo, sample_row


class Pictures(Callback):
    """Writes panels of validation images to `pictures/epoch_<n>.png`, and logs them with masks to W&B.

    Args:
        count: How many images.
        panels: How many panels over a training, at even distances; the last epoch always has one.
    """

    def __init__(self, count: int = 4, panels: int = 10) -> None:
        self.count = count
        self.panels = panels
        self.seen: list[tuple[Picture, Truth, Prediction]] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Sample,
        batch_idx: int,
        *_: object,
    ) -> None:
        if not self._due(trainer):
            return
        scored = _scored(outputs, batch, trainer)
        # of batches without end the first ones
        wanted = math.ceil(self.count * (batch_idx + 1) / sum(trainer.num_val_batches)) or self.count
        for i, (prediction, truth) in enumerate(scored[: max(wanted - len(self.seen), 0)]):
            self.seen.append((photo(batch, i), truth, prediction))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.seen or not trainer.is_global_zero:
            return
        classes: Classes | None = getattr(pl_module, "classes", None)
        if not classes:
            classes = trainer.datamodule.classes  # type: ignore[attr-defined]
        tasks = drawables(pl_module)
        rows = [
            sample_row(photo, truth, prediction, classes, tasks) for photo, truth, prediction in self.seen
        ]
        shown = [m for _, t, p in self.seen for m in (t.semantic, p.get("semantic")) if m is not None]
        captions = [caption(prediction, truth, classes) for _, truth, prediction in self.seen]
        maps = any(len(row) > 1 for row in rows)
        picture = panel(rows, captions, legend(shown, classes) if maps else None)
        write_png(RunFolder(trainer.default_root_dir).picture(trainer.current_epoch), picture)
        log_pictures(trainer.loggers, "val/pictures", self.seen, classes, trainer.current_epoch)
        log_panel(trainer.loggers, "val/panel", picture, trainer.current_epoch)
        self.seen = []

    def _due(self, trainer: Trainer) -> bool:
        if trainer.sanity_checking or not trainer.is_global_zero or trainer.state.fn != "fit":
            return False
        epochs = trainer.max_epochs or 0
        if epochs <= 0:
            return True
        number = trainer.current_epoch + 1
        return number == epochs or number % math.ceil(epochs / self.panels) == 0


def _scored(outputs: object, batch: Sample, trainer: Trainer) -> list[tuple[Prediction, Truth]]:
    """The predictions that a validation step returned, with the labels of their images.

    A module of one's own may return predictions alone, for which the label files are read here.
    """
    if not isinstance(outputs, list) or not all(
        isinstance(output, Scored | Prediction) for output in outputs
    ):
        return []
    if all(isinstance(output, Scored) for output in outputs):
        return [(output.prediction, output.truth) for output in outputs]
    dataset = getattr(trainer.val_dataloaders, "dataset", None)
    return list(zip(outputs, Truths(batch, dataset).result(), strict=True))
