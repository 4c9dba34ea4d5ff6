"""Compares an exported file with the model that it is of."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.heads import Head
from fusionseg.inference.export_graph import ExportableNetwork
from fusionseg.inference.exported import ExportedModel
from fusionseg.inference.output_names import named
from fusionseg.networks.backbone import STRIDE
from fusionseg.networks.base import Outputs
from fusionseg.sample import Frame

TOLERANCE = 1e-4
"""The largest difference from the model, for outputs of more than 1 as a share of the largest."""


class Export(NamedTuple):
    """What was found of an exported file.

    Args:
        image: The shape of the images that were compared.
        outputs: The shape of each output for them.
        difference: The largest difference of an output from the model's own.
    """

    image: tuple[int, ...]
    outputs: dict[str, tuple[int, ...]]
    difference: float


def compared(
    network: ExportableNetwork, copy: ExportedModel, path: Path, tolerance: float = TOLERANCE
) -> Export:
    """Compares a model with a copy of it, by one and by several images of other sizes than that traced.

    Args:
        network: The network of the model.
        copy: What a file of it makes.
        path: The name of the file in messages.
        tolerance: The largest difference that is accepted, for outputs of more than 1 as their share.

    Raises:
        UserError: If an output differs more, or is decoded to other labels.
    """
    worst = 0.0
    heads: Any = network.network.heads
    for number, size in ((1, (4 * STRIDE, 6 * STRIDE)), (3, (6 * STRIDE, 4 * STRIDE))):
        image = sample_images(number, copy.metadata.channels, size)
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            last = network.network(image)[-1]
            (theirs,) = copy(image)
            own = {task: head.kept(last[task]) for task, head in heads.items()}
            _check_labels(heads, copy.heads, own, Frame.whole(size), path)
        given = _tensors(own)
        found = _tensors(theirs)
        differences = [_difference(name, given[name], found[name], tolerance, path) for name in given]
        worst = max([worst, *differences])
    return Export(tuple(image.shape), {name: tuple(given[name].shape) for name in given}, worst)


def _tensors(outputs: Outputs) -> dict[str, Tensor]:
    """The tensors of outputs by name."""
    return {name: tensor for task in outputs for name, tensor in named(task, outputs[task]).tensors.items()}


def _check_labels(
    heads: Mapping[str, Head], copies: Mapping[str, Head], outputs: Outputs, frame: Frame, path: Path
) -> None:
    """Raises a UserError if the heads of a file, which have no weights, decode otherwise."""
    for task, head in heads.items():
        if not torch.equal(head.labels(outputs[task], frame), copies[task].labels(outputs[task], frame)):
            raise UserError(
                f"{path}: labels of {task} depend on weights of {type(head).__name__}, which are "
                "only in the graph of a file"
            )


def _difference(name: str, own: Tensor, other: Tensor, tolerance: float, path: Path) -> float:
    """The largest difference of an output.

    Raises:
        UserError: If it is too large, or not a number.
    """
    difference = float((own - other).abs().max()) if own.shape == other.shape else math.inf
    allowed = tolerance * max(1.0, float(own.abs().max()))
    if not difference <= allowed:
        raise UserError(
            f"{path}: expected {name} of the model within {allowed:.1g}, found a difference of "
            f"{difference:.1g}: it was not written"
        )
    return difference


def sample_images(number: int, channels: int, size: tuple[int, int]) -> Tensor:
    """Random images (number, channels, *size) float32 in [0, 1], always the same."""
    return torch.rand(number, channels, *size, generator=torch.Generator().manual_seed(0))
