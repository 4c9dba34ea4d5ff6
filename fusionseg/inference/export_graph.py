"""The graph of a network, as torch traces it for any number and size of images."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fusionseg.config.errors import UserError
from fusionseg.inference.exported import IMAGE
from fusionseg.inference.output_names import Named, named
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import STRIDE


class ExportableNetwork(nn.Module):
    """The network of a model as a function from images to named tensors, of its last refinement.

    Args:
        model: The model, in evaluation mode.
    """

    def __init__(self, model: FusionModule) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """What decoding needs of each head's output, for images (B, C, H, W) float32 in [0, 1]."""
        parts = self.apart(image).values()
        return {name: tensor for part in parts for name, tensor in part.tensors.items()}

    def apart(self, image: Tensor) -> dict[str, Named]:
        """The same by task, with its structure."""
        last = self.network(image)[-1]
        heads: Any = self.network.heads
        return {task: named(task, head.kept(last[task])) for task, head in heads.items()}


def traced(network: nn.Module, channels: int) -> ExportedProgram:
    """The graph of a network, for any batch and for heights and widths that are multiples of 32.

    Args:
        network: A function of images (B, C, H, W) float32.
        channels: The number of channels C.

    Raises:
        UserError: If torch cannot follow it, or only for one size.
    """
    sizes = {0: Dim("batch"), 2: STRIDE * Dim("rows"), 3: STRIDE * Dim("columns")}
    # sizes of 1, or two equal ones, would be taken for what is always so
    image = torch.zeros(2, channels, 4 * STRIDE, 5 * STRIDE)
    try:
        with quiet(), torch.no_grad(), torch.compiler.set_stance("force_eager"):
            program = torch.export.export(network, (image,), dynamic_shapes={IMAGE: sizes})
    except Exception as error:  # of many types, by networks that may be anybody's
        raise UserError(
            "torch cannot export this network for any number and size of images (see docs/export.md): "
            f"{cause(error)}"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # which names the folders of this machine
    _check_sizes(program, channels)
    return program


def _check_sizes(program: ExportedProgram, channels: int) -> None:
    """Raises a UserError if a graph holds for some sizes of images only, from 2 x 2 cells of the stride on.

    Networks may choose by the size what they compute. The graph has what was chosen for the size that was
    traced, and a file of ONNX would compute that for every other one.
    """
    guards = program.module().get_submodule("_guards_fn")
    cells = (2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
    for number, rows, columns in product((1, 3), cells, cells):
        size = (number, channels, STRIDE * rows, STRIDE * columns)
        try:
            guards(torch.empty(size, device="meta"))
        except Exception as error:
            raise UserError(
                "this network computes something else for some sizes of images, and torch can only export "
                f"what is the same for all (see docs/export.md): {cause(error)} for {size}"
            ) from error


def cause(error: Exception) -> str:
    """The first two lines of an error of torch's, of which the second names the dimension."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """A context without the warnings of exporters to themselves, and the graphs that they print."""
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield
