"""A model of an exported file: its network runs in ONNX Runtime, and its heads decode."""

from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fusionseg.config.errors import UsageError, UserError
from fusionseg.config.remedies import is_out_of_memory
from fusionseg.config.trust import untrusted
from fusionseg.engine.passes import WHOLE, Passes
from fusionseg.engine.predictions import frame_of, predictions
from fusionseg.files.state_dicts import reason
from fusionseg.heads import Head
from fusionseg.inference.export_metadata import KEY, ExportMetadata, codecs
from fusionseg.inference.output_names import names, rebuilding
from fusionseg.networks.base import Outputs
from fusionseg.sample import Classes, Prediction, Sample

IMAGE = "image"
"""The name of the graph's input, images (B, C, H, W) float32 in [0, 1]."""

Graph = Callable[[Tensor], Mapping[str, Tensor]]
"""Computes the named outputs of images (B, C, H, W) float32 in [0, 1], whose sides are multiples of 32."""


class ExportedModel(nn.Module):
    """A model that predicts as a FusionModule does, with a graph in place of its network.

    Args:
        graph: The graph.
        metadata: What its file says of it. It may be anybody's: only classes of trusted packages are built.
        path: The file.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Attributes:
        metadata: These metadata.
        classes: The classes that the model tells apart.
        areas: The numbers of pixels that a thing and a stuff segment have at least.
        has_gradients: Whether outputs know what they depend on: they do not.

    Raises:
        UserError: If the metadata do not make a decoder.
    """

    has_gradients: ClassVar[bool] = False

    def __init__(self, graph: Graph, metadata: ExportMetadata, path: Path, trust: Iterable[str] = ()) -> None:
        super().__init__()
        self.metadata = metadata
        self.classes: Classes = metadata.classes
        self.areas = metadata.areas
        self._codecs = nn.ModuleDict(codecs(metadata, path, trust))
        self._graph = graph
        try:
            with untrusted(trust):
                self._rebuild = {task: rebuilding(metadata.outputs[task]) for task in self._codecs}
        except (KeyError, TypeError, AttributeError, ImportError, ValueError) as error:
            raise UserError(f"{path}: its metadata make no outputs: {reason(error)}") from error

    @property
    def hparams(self) -> dict[str, Any]:
        """What is known of the arguments of the model that was exported."""
        return {"backbone": {"in_channels": self.metadata.channels}}

    @property
    def heads(self) -> dict[str, Head]:
        """The head of each task, without weights."""
        heads: Any = self._codecs
        return dict(heads.items())

    def forward(self, image: Tensor) -> list[Outputs]:
        """The outputs of the heads in a list, as a FusionModule's, for images (B, C, H, W) of any type."""
        found = self._graph(unit_range(image))
        return [{task: rebuild(found) for task, rebuild in self._rebuild.items()}]

    @torch.no_grad()
    def predictions(
        self, batch: Sample, size: tuple[int, int], extras: Collection[str] = (), passes: Passes = WHOLE
    ) -> list[Prediction]:
        """The predictions for a batch at the size of its label files (H, W); see `engine.predictions`."""
        outputs = passes.outputs(self, self.heads, batch["image"])
        frame = frame_of(batch, size)
        return predictions(outputs, self.heads, frame, batch["name"], self.classes, self.areas, extras)


def unit_range(image: Tensor) -> Tensor:
    """Images of integers that fill their range, or of floats in [0, 1], as float32 in [0, 1].

    >>> unit_range(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([0., 1.])
    """
    return image.float() if image.is_floating_point() else image.float() / torch.iinfo(image.dtype).max


def exported_model(path: Path, trust: Iterable[str] = ()) -> ExportedModel:
    """The model of an ONNX file of `fusionseg export`; nothing in it is executed but its graph.

    Args:
        path: The file, which may be anybody's.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        UsageError: If ONNX Runtime is not installed.
        UserError: If the file is something else, or not whole.
    """
    session = _session(path)
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise UserError(
            f"{path}: expected a file that `fusionseg export` wrote, found an ONNX model without its "
            "metadata: export the run again"
        )
    try:
        metadata = ExportMetadata.of(text)
        expected = {name for structure in metadata.outputs.values() for name in names(structure)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: expected the metadata of `fusionseg export`: {reason(error)}") from error
    outputs = [output.name for output in session.get_outputs()]
    inputs = [given.name for given in session.get_inputs()]
    if inputs != [IMAGE] or set(outputs) != expected:
        raise UserError(
            f"{path}: expected a graph from {IMAGE} to {', '.join(sorted(expected))}, found one from "
            f"{', '.join(inputs)} to {', '.join(outputs)}"
        )

    def graph(image: Tensor) -> Mapping[str, Tensor]:
        try:
            found = session.run(outputs, {IMAGE: image.cpu().numpy()})
        except Exception as error:  # of many types of its own
            if is_out_of_memory(error):
                raise
            raise UserError(
                f"ONNX Runtime cannot run the graph on images {tuple(image.shape)}: {reason(error)}"
            ) from error
        return {name: torch.from_numpy(array) for name, array in zip(outputs, found, strict=True)}

    return ExportedModel(graph, metadata, path, trust)


def onnx_library(name: str) -> Any:
    """A library of ONNX.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f'this takes {name}: pip install "fusionseg[onnx]"') from error


def _session(path: Path) -> Any:
    """A session of ONNX Runtime on the CPU, with as many threads as torch has.

    Raises:
        UsageError: If it is not installed.
        UserError: If the file is no whole ONNX file.
    """
    runtime = onnx_library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors, which it raises besides
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many types of its own
        raise UserError(
            f"{path}: expected a whole ONNX file, such as `fusionseg export` writes: {reason(error)}"
        ) from error
