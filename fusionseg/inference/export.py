"""Exports a model's network and its heads as a graph in one file, checked against the model itself."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import nn
from torch.export import ExportedProgram

from fusionseg.config.errors import UsageError, UserError
from fusionseg.data.input_size import Resize
from fusionseg.engine.predictions import image_channels
from fusionseg.files.atomic import remove_drafts_of, replacing
from fusionseg.files.photos import ValueRange
from fusionseg.inference.export_check import Export, compared, sample_images
from fusionseg.inference.export_graph import ExportableNetwork, cause, quiet, traced
from fusionseg.inference.export_metadata import KEY, ExportMetadata, parameters, recipes
from fusionseg.inference.exported import IMAGE, ExportedModel, exported_model, onnx_library
from fusionseg.inference.output_names import names
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import STRIDE
from fusionseg.runs.decoder import digest
from fusionseg.runs.trained_model import TrainedModel

Format: TypeAlias = Literal["onnx", "torch"]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
"""The suffix of a file by its format."""

LARGEST = 1536 * 2**20
"""Bytes of weights that fit into one file of ONNX."""


class ExportSource(NamedTuple):
    """A model that is exported, and how images were prepared in its training.

    Args:
        model: The model, on the CPU in float32.
        digest: The SHA-256 digest of the file of its weights.
        channels: The channels of an image.
        scale: Size at which the network sees an image, relative to the image.
        resize: The size to which it is brought in place of that, as in `InputSize`.
        value_range: The values that are black and white in images of more than 8 bits, if declared.
        depth_limit: The depth in meters that the largest value of the last channel stands for, if that is
            depth.
    """

    model: Any
    digest: str
    channels: int
    scale: float
    value_range: ValueRange | None
    resize: Resize | None = None
    depth_limit: float | None = None

    @classmethod
    def of(cls, trained: TrainedModel) -> "ExportSource":
        """That of a trained model."""
        return cls(
            model=trained.model,
            digest=digest(trained.file),
            channels=image_channels(trained.model),
            scale=float(trained.data.get("scale", 1.0)),
            value_range=trained.data.get("value_range"),
            resize=trained.data.get("resize"),
            depth_limit=trained.data.get("depth_limit"),
        )


def export(
    source: ExportSource,
    path: Path,
    format: Format,
    trust: Iterable[str] = (),
    stage: Callable[[str], None] = lambda _: None,
) -> Export:
    """Writes a model to a file, reads that and compares both; a file that differs never appears.

    Args:
        source: The model.
        path: The file.
        format: Its format.
        trust: Packages of heads of your own, as of `Predictor`.
        stage: Is called with what is done next.

    Raises:
        UsageError: If the model is of another kind, or a library is not installed.
        UserError: If torch cannot export the network, or what it exports computes something else.
        OSError: If the file cannot be written.
    """
    model = source.model
    if not isinstance(model, FusionModule):
        raise UsageError(f"expected a run of a FusionModule, found {type(model).__name__}", "run")
    if format == "onnx":
        check_installed()
        _check_size(model)
    network = ExportableNetwork(model).eval().requires_grad_(False)
    stage("tracing the network")
    program = traced(network, source.channels)
    metadata = described(source, network)
    remove_drafts_of(path)  # as large as the model
    with replacing(path) as draft:
        stage(f"writing {path}")
        with quiet():
            if format == "onnx":
                _write_onnx(program, metadata, draft)
            else:
                torch.export.save(program, draft, extra_files={KEY: metadata.text})
        stage("comparing it with the model")
        copy = exported_model(draft, trust) if format == "onnx" else _reopened(draft, trust)
        return compared(network, copy, path)


def check_installed() -> None:
    """Raises a UsageError if what writes and checks files of ONNX is not installed."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        onnx_library(library)


def described(source: ExportSource, network: ExportableNetwork) -> ExportMetadata:
    """The metadata of a model's file."""
    model = source.model
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        parts = network.apart(sample_images(1, source.channels, (4 * STRIDE, 4 * STRIDE)))
    return ExportMetadata(
        classes=model.classes,
        heads=recipes(model),
        decoder=parameters(model),
        temperatures={task: head.temperature for task, head in model.heads.items()},
        outputs={task: part.structure for task, part in parts.items()},
        areas=model.areas,
        channels=source.channels,
        scale=source.scale,
        value_range=source.value_range,
        resize=source.resize,
        depth_limit=source.depth_limit,
        checkpoint=source.digest,
    )


def _check_size(model: nn.Module) -> None:
    """Raises a UserError if the weights of a model do not fit into one file of ONNX."""
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    if size > LARGEST:
        raise UserError(
            f"expected weights of at most {LARGEST / 2**20:.0f} MiB, which one file of ONNX can hold, found "
            f"{size / 2**20:.0f}: take --format torch"
        )


def _write_onnx(program: ExportedProgram, metadata: ExportMetadata, path: Path) -> None:
    """Writes a graph to a single file of ONNX.

    Raises:
        UserError: If ONNX has no operator for something in it.
    """
    expected = [name for structure in metadata.outputs.values() for name in names(structure)]
    try:
        found: Any = torch.onnx.export(
            program, input_names=[IMAGE], output_names=expected, external_data=False, verbose=False
        )
    except Exception as error:  # of many types too
        raise UserError(f"ONNX cannot hold this network (see docs/export.md): {cause(error)}") from error
    found.model.metadata_props[KEY] = metadata.text
    found.save(path, external_data=False)


def _reopened(path: Path, trust: Iterable[str]) -> ExportedModel:
    """The model of a file of torch.export that this process wrote."""
    extra = {KEY: ""}
    program = torch.export.load(path, extra_files=extra)
    return ExportedModel(program.module(), ExportMetadata.of(extra[KEY]), path, trust)
