"""Evaluation: predictions scored against the label files, for validation, test and the command `evaluate`."""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule
from rich.console import Console
from rich.progress import track
from torch import Tensor

from fusionseg.config.errors import UserError, mendable
from fusionseg.engine.distributed import gathered_objects
from fusionseg.engine.image_order import in_dataset_order
from fusionseg.engine.objective import divided
from fusionseg.engine.passes import WHOLE, Passes, answering
from fusionseg.engine.precision import placed
from fusionseg.heads import Head
from fusionseg.metrics import FusedMetrics, MetricSuite, PanopticQuality
from fusionseg.metrics.suite import total
from fusionseg.sample import Classes, Counted, Picture, Prediction, Sample, Truth
from fusionseg.visualize import photo

Answer = TypeVar("Answer")

NOT_LABELS = ("image", "semantic", "region", "name", "index")
"""The keys of a batch that are not labels of a further kind."""


class Scored(NamedTuple):
    """The prediction of one image, what it was scored against, the sums that were measured, and its group."""

    prediction: Prediction
    truth: Truth
    sums: Counted
    group: str | None = None


def suite_of(module: object, classes: Classes) -> MetricSuite:
    """The metrics of a LightningModule: its attribute `suite`, or the standard metrics."""
    return getattr(module, "suite", None) or MetricSuite.standard(classes)


def validation_figures(module: object) -> list[str]:
    """The names of the figures that validation logs; none where a LightningModule does not say."""
    suite = getattr(module, "suite", None)
    if not isinstance(suite, MetricSuite):
        return []
    losses = ["loss", *(f"loss_{task}" for task in getattr(module, "tasks", ()))]
    return [f"val/{name}" for name in (*suite.names, *losses)]


def suite_for(heads: Mapping[str, Head], weights: Mapping[str, float], classes: Classes) -> MetricSuite:
    """The metrics of a set of heads: those of each head, and those of the fusion of classes and regions.

    Args:
        heads: The head of each task.
        weights: The weight of each task's loss; a task of weight 0 is measured but does not count in the
            score.
        classes: The classes of the data.
    """
    metrics = [metric for head in heads.values() for metric in head.metrics(classes)]
    if {"semantic", "region"} <= heads.keys():
        metrics += [FusedMetrics(len(classes)), PanopticQuality(len(classes), classes.things)]
    return MetricSuite(metrics, untrained=[task for task in heads if not weights[task]])


class Evaluation:
    """Adds up what is measured of a set of images, and gives the figures of the whole set over all ranks.

    Args:
        suite: What is measured.
        loss_weights: The weight of each task's loss; none where losses are not evaluated.
    """

    def __init__(self, suite: MetricSuite, loss_weights: Mapping[str, float] | None = None) -> None:
        self.suite = suite
        self.loss_weights = dict(loss_weights or {})
        self.terms: Counted = {}

    def begin(self) -> None:
        """Forgets all images, such as those of an interrupted validation."""
        self.suite.reset()
        self.terms = {}

    def score(self, predictions: Sequence[Prediction], truths: "Truths") -> list[Scored]:
        """Scores the predictions of a batch and adds up what is measured."""
        scored = []
        for prediction, truth in zip(predictions, truths.result(), strict=True):
            sums = self.suite.sums(prediction, truth)
            self.suite.add(sums)
            scored.append(Scored(prediction, truth, sums))
        return scored

    def add_losses(self, terms: Tensor) -> None:
        """Adds the (sums, weights) (2, T, K) of a batch's loss terms."""
        self.terms = total([self.terms, {"terms": terms.cpu().numpy().astype(np.float64)}])

    def figures(self) -> dict[str, float]:
        """The losses and metrics of the whole set; all ranks must ask together, also those without images."""
        terms = total(gathered_objects(self.terms))
        if not terms:
            return self.suite.compute()
        sums, weights = torch.from_numpy(terms["terms"])
        losses = divided(sums, weights).tolist()
        figures = {f"loss_{task}": loss for task, loss in zip(self.loss_weights, losses, strict=True)}
        figures["loss"] = sum(w * loss for w, loss in zip(self.loss_weights.values(), losses, strict=True))
        return figures | self.suite.compute()


def evaluated(
    module: Any,
    data: LightningDataModule,
    split: str,
    precision: str,
    suite: MetricSuite,
    extras: Collection[str] = (),
    passes: Passes = WHOLE,
    title: str = "evaluating",
) -> Iterator[tuple[Picture, Scored]]:
    """Every image of a split once, in order, with its prediction and what was measured of it.

    Args:
        module: A LightningModule with `predictions(batch, size)`.
        data: A LightningDataModule.
        split: `val` or `test`.
        precision: As Lightning's.
        suite: What is measured.
        extras: What is predicted besides labels and what the suite scores, by a module that has it.
        passes: How it sees images.
        title: What the progress bar says.
    """
    answer = answering(module, {*extras, *suite.answers}, passes)
    batches = answered(module, data, split, precision, answer, title)
    return in_dataset_order(
        (loader, batch, _scored(batch, loader.dataset, truths, predictions, suite))
        for batch, loader, truths, predictions in batches
    )


def _scored(
    batch: Sample,
    dataset: object,
    truths: Sequence[Truth],
    predictions: Sequence[Prediction],
    suite: MetricSuite,
) -> list[tuple[Picture, Scored]]:
    """The images of a batch, and what was measured of each."""
    groups = _groups(batch, dataset)
    return [
        (photo(batch, i), Scored(prediction, truth, suite.sums(prediction, truth), groups[i]))
        for i, (prediction, truth) in enumerate(zip(predictions, truths, strict=True))
    ]


def answered(
    module: Any,
    data: LightningDataModule,
    split: str,
    precision: str,
    answer: Callable[[Sample, tuple[int, int]], Answer],
    title: str = "evaluating",
) -> Iterator[tuple[Sample, Any, list[Truth], Answer]]:
    """Every batch of a split once, with its loader, its truths and what a function makes of it.

    Args:
        module: A LightningModule.
        data: A LightningDataModule.
        split: `val` or `test`.
        precision: As Lightning's.
        answer: Called with the batch as the network gets it, on the module's device and without gradients,
            and the height and width of its label files.
        title: What the progress bar says.
    """
    fabric = placed(module, precision)
    with mendable():
        data.setup("validate" if split == "val" else "test")
    loader = data.val_dataloader() if split == "val" else data.test_dataloader()
    console = Console(stderr=True)
    hidden = not console.is_terminal
    for batch in track(loader, f"{title} {split}", console=console, transient=True, disable=hidden):
        truths = Truths(batch, loader.dataset)
        moved = data.on_after_batch_transfer(move_data_to_device(batch, fabric.device), 0)
        size = truths.size
        with torch.no_grad(), fabric.autocast():
            answers = answer(moved, size)
        yield batch, loader, truths.result(), answers


def _groups(batch: Sample, dataset: object) -> list[str | None]:
    """The group of each image of a batch; None where the dataset names none."""
    group = getattr(dataset, "group", None)
    if group is None or "index" not in batch:
        return [None] * len(batch["name"])
    return [group(int(index)) for index in batch["index"]]


class Truths:
    """The labels of the images of a batch, read from the label files while the network runs.

    Args:
        batch: A batch; its `index` says which images of the dataset these are.
        dataset: What has `truth(index)`. Where it has not, the batch's own label maps are the truth.
    """

    def __init__(self, batch: Sample, dataset: object) -> None:
        read = getattr(dataset, "truth", None)
        if read is not None and "index" in batch:
            self.pending = [_readers().submit(read, int(index)) for index in batch["index"]]
        else:
            self.pending = [_readers().submit(own_truth, batch, i) for i in range(len(batch["name"]))]

    def result(self) -> list[Truth]:
        """Waits for the labels, in the order of the batch."""
        return [truth.result() for truth in self.pending]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the label files, for which it waits.

        Raises:
            UserError: If they differ within the batch.
        """
        sizes = sorted({truth.semantic.shape for truth in self.result()})
        if len(sizes) != 1:
            raise UserError(
                f"the label files of a batch have different sizes {sizes}: set data.eval_batch_size to 1"
            )
        height, width = sizes[0]
        return height, width


def own_truth(batch: Sample, i: int) -> Truth:
    """The labels of the i-th image of a batch, as the batch itself has them."""
    semantic = batch["semantic"][i].cpu().numpy().astype(np.uint8)
    region = batch["region"][i].cpu().numpy().astype(np.int32)
    further = {key: labels[i] for key, labels in batch.items() if key not in NOT_LABELS}
    maps = {key: labels.cpu().numpy() for key, labels in further.items() if isinstance(labels, Tensor)}
    return Truth(semantic, region, maps=maps)


@functools.cache
def _readers() -> ThreadPoolExecutor:
    """The threads that read label files."""
    return ThreadPoolExecutor(2, "labels")
