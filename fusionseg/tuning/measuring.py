"""Decodes kept outputs with given parameters and scores them: what processes do for each trial."""

import functools
import multiprocessing
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fusionseg.engine.decoding import Parameters
from fusionseg.engine.predictions import fused
from fusionseg.heads import Head
from fusionseg.heads.base import Output
from fusionseg.metrics import MetricSuite
from fusionseg.metrics.suite import total
from fusionseg.sample import Classes, Counted, Frame, Truth

DECODING = "decoding.pickle"
"""The file of the `Decoding`, in the folder of the batches."""


@dataclass(frozen=True)
class Decoding:
    """What does not differ between batches.

    Attributes:
        heads: The heads whose outputs were kept, on the host.
        suite: What is measured.
        classes: The classes of the data.
        areas: The numbers of pixels that a thing and a stuff segment have at least.
    """

    heads: dict[str, Head]
    suite: MetricSuite
    classes: Classes
    areas: tuple[int, int]


class KeptBatch(NamedTuple):
    """The outputs of heads that are tuned or calibrated, and what else it takes to score a batch.

    Attributes:
        outputs: The outputs by task, on the host, as they left the network.
        labels: The labels (B, H, W) of other tasks that theirs are fused with.
        frame: How the outputs relate to the label files.
        names: The names of the images.
        truths: Their labels.
    """

    outputs: dict[str, Output]
    labels: dict[str, Tensor]
    frame: Frame
    names: Sequence[str]
    truths: list[Truth]


def measured(file: Path, parameters: Parameters) -> Counted:
    """The added sums of the images of a batch.

    Args:
        file: The batch. It and the `Decoding` beside it were written by the process that this one works for.
        parameters: The parameters of the decoding by task and name.
    """
    decoding = decoding_of(file.parent)
    batch = kept_batch(file)
    labels = {task: labels.long() for task, labels in batch.labels.items()}
    for task, values in parameters.items():
        head = decoding.heads[task]
        head.set_decoding(**values)
        labels[task] = head.labels(batch.outputs[task], batch.frame)
    predictions = fused(labels, batch.names, decoding.classes, decoding.areas)
    return total(map(decoding.suite.sums, predictions, batch.truths))


def kept_batch(file: Path) -> KeptBatch:
    """A batch that `kept_outputs` wrote."""
    batch: KeptBatch = pickle.loads(file.read_bytes())
    return batch


@functools.lru_cache(1)
def decoding_of(folder: Path) -> Decoding:
    """What was written for all batches, read once in each process."""
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # the other cores have processes of their own
    decoding: Decoding = pickle.loads((folder / DECODING).read_bytes())
    return decoding
