"""What heads could reach at best: the targets that they learn from, decoded and scored as answers are."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fusionseg.config.errors import mendable
from fusionseg.engine.evaluation import Truths
from fusionseg.engine.image_order import in_dataset_order
from fusionseg.engine.predictions import frame_of, padded, predictions
from fusionseg.heads import Head
from fusionseg.heads.region_rois import MaskRCNNOutput
from fusionseg.metrics import MetricSuite
from fusionseg.sample import Classes, Counted, Frame, Prediction, Sample


class Ideal(NamedTuple):
    """A perfect network's answers to the images of a batch, and what its regions cost in seconds.

    Args:
        predictions: Of each image.
        target: Time of the target.
        decoding: Time of the decoding.
    """

    predictions: list[Prediction]
    target: float
    decoding: float


class _Timed:
    """Decodes as a head does, and keeps the time.

    Args:
        head: The head.
        batch: Its label maps.
    """

    def __init__(self, head: Head, batch: Sample) -> None:
        start = time.perf_counter()
        target = head.target(batch)
        self.target_seconds = time.perf_counter() - start
        self.seconds = 0.0
        self.head = head
        output = head.ideal(target)
        # to find regions in it is a part of the decoding
        self.output = output._replace(detections=None) if isinstance(output, MaskRCNNOutput) else output

    def labels(self, output: Any, frame: Frame) -> Tensor:
        """As the head's."""
        start = time.perf_counter()
        labels = self.head.labels(output, frame)
        self.seconds = time.perf_counter() - start
        return labels


def ideal(heads: Mapping[str, Head], batch: Sample, size: tuple[int, int], classes: Classes) -> Ideal:
    """Decodes the targets of a batch.

    Args:
        heads: The head of each task; its target is made from the batch at the network's size.
        batch: A batch of label maps and images.
        size: Height and width of the label files.
        classes: The classes of the data.
    """
    whole = padded(batch)
    timed: Any = {task: _Timed(head, whole) for task, head in heads.items()}
    outputs = {task: head.output for task, head in timed.items()}
    found = predictions(outputs, timed, frame_of(batch, size), batch["name"], classes)
    regions = [head for task, head in timed.items() if task == "region"]
    return Ideal(found, sum(head.target_seconds for head in regions), sum(head.seconds for head in regions))


class OracleImage(NamedTuple):
    """What was measured of a perfect network's answer to one image.

    Args:
        sums: The additive sums of its metrics.
        target: Seconds that the target of its regions took.
        decoding: Seconds that their decoding took.
    """

    sums: Counted
    target: float
    decoding: float


def oracle_images(
    variants: Mapping[str, tuple[Mapping[str, Head], MetricSuite]],
    data: Any,
    split: str,
    limit: int | None = None,
    watched: Callable[[Any], Any] = iter,
) -> Iterator[dict[str, OracleImage]]:
    """What each variant of heads could reach on each image of a split.

    Args:
        variants: Heads by their tasks, and what is measured of their answers.
        data: A LightningDataModule.
        split: `val` or `test`.
        limit: How many images at most; all where left out.
        watched: Wraps the loader, such as in a progress bar.
    """
    with mendable():
        data.setup("validate" if split == "val" else "test")
    loader = data.val_dataloader() if split == "val" else data.test_dataloader()
    batches = ((loader, batch, _of_batch(variants, data, batch, loader)) for batch in watched(loader))
    return islice(in_dataset_order(batches), limit)


def _of_batch(
    variants: Mapping[str, tuple[Mapping[str, Head], MetricSuite]], data: Any, batch: Sample, loader: Any
) -> list[dict[str, OracleImage]]:
    """What each variant of heads could reach on each image of a batch."""
    truths = Truths(batch, loader.dataset)
    size = truths.size
    prepared = data.on_after_batch_transfer(batch, 0)
    with torch.no_grad():
        answers = {name: ideal(heads, prepared, size, data.classes) for name, (heads, _) in variants.items()}
    count = len(batch["name"])
    return [
        {
            name: OracleImage(
                variants[name][1].sums(answer.predictions[i], truth),
                answer.target / count,
                answer.decoding / count,
            )
            for name, answer in answers.items()
        }
        for i, truth in enumerate(truths.result())
    ]
