"""A LightningModule for methods that nothing has to train."""

from collections.abc import Callable, Collection
from typing import Any

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from typing_extensions import override

from fusionseg.config.recipe import record
from fusionseg.engine.evaluation import Evaluation, Truths
from fusionseg.metrics import BoundaryMetrics, MetricSuite, RegionMetrics
from fusionseg.sample import Array, Classes, IntMap, Prediction, Sample
from fusionseg.untrained.base import Method, Photo
from fusionseg.untrained.felzenszwalb import Felzenszwalb


class UntrainedModule(LightningModule):
    """Finds regions by a method without training, for the same commands as a model that is trained.

    A training of it reads one batch and ends with a validation: what it leaves is a run like any other, which
    `evaluate`, `predict`, studies and their reports take.

    Args:
        classes: What the data declares (`SegmentationDataModule.classes`); the command line fills it in.
        method: Recipe of the method.
    """

    def __init__(
        self, classes: Classes | dict[str, Any], method: Callable[[], Method] = Felzenszwalb
    ) -> None:
        super().__init__()
        record(self, locals())
        self.classes = classes if isinstance(classes, Classes) else Classes(**classes)
        self.method = method()
        self.suite = MetricSuite([RegionMetrics(), BoundaryMetrics()])
        self.evaluation = Evaluation(self.suite)
        self.steps = nn.Parameter(torch.zeros(()))
        """The one number that is trained, since a run without a step leaves no checkpoint."""

    def predictions(
        self, batch: Sample, size: tuple[int, int], extras: Collection[str] = ()
    ) -> list[Prediction]:
        """The regions of a batch of images, at the size of its label files (H, W).

        With `contours` among the extras also soft boundaries, where the method finds them.
        """
        height, width = size
        found = []
        for name, image in zip(batch["name"], batch["image"], strict=True):
            photo = _photo(image)
            maps: dict[str, Array] = {"region": _sized(self.method.regions(photo), size)}
            if "contours" in extras and (soft := self.method.contours(photo)) is not None:
                maps["contours"] = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
            found.append(Prediction(name, maps))
        return found

    @override
    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters())

    @override
    def on_fit_start(self) -> None:
        self.trainer.check_val_every_n_epoch = 1  # as there is no other epoch

    @override
    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        self.trainer.should_stop = True
        return -self.steps

    @override
    def on_validation_epoch_start(self) -> None:
        self.evaluation.begin()

    @override
    def validation_step(self, batch: Sample, batch_idx: int) -> Any:
        loader: Any = self.trainer.val_dataloaders
        truths = Truths(batch, loader.dataset)
        return self.evaluation.score(self.predictions(batch, truths.size), truths)

    @override
    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{name}": value for name, value in self.evaluation.figures().items()})


def _photo(image: Tensor) -> Photo:
    """The first three channels of an image (C, H, W) as (H, W, 3) in [0, 1]."""
    top = 1.0 if image.is_floating_point() else float(torch.iinfo(image.dtype).max)
    return (image[:3].float() / top).permute(1, 2, 0).cpu().numpy()


def _sized(regions: IntMap, size: tuple[int, int]) -> IntMap:
    """A region map at a size (H, W), without new ids."""
    if regions.shape == size:
        return regions
    height, width = size
    enlarged = cv2.resize(regions, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(enlarged, np.int32)
