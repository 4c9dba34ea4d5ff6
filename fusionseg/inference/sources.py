"""The models of run folders, checkpoints and exported files, as they are asked for answers."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.precision import fast_precision, placed
from fusionseg.files.atomic import Json
from fusionseg.files.photos import ValueRange
from fusionseg.inference.exported import ExportedModel, exported_model
from fusionseg.runs.trained_model import TrainedModel, trained_model

Value = TypeVar("Value")

UNSAFE = (".pt2",)
"""The suffix of torch's exported programs, whose reader evaluates and unpickles what is in the file."""


def trained_models(
    paths: str | Path | Sequence[str | Path], untuned: bool, trust: Iterable[str]
) -> list[TrainedModel]:
    """What one path names, or each of several, whose tuned decoders are left out.

    Args:
        paths: Run folders, checkpoints, folders of `save_pretrained`, and ONNX files of `fusionseg export`.
        untuned: Whether the tuned decoder of one alone is left out too.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        UsageError: If there is no path.
        ValueError: If one holds no model.
        OSError: If there is no such file.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if not several:
        raise UsageError("expected a run folder or a checkpoint, found none", "run")
    trusted = tuple(trust)
    left_out = untuned or len(several) > 1
    return [
        _exported(path, untuned, trusted) or trained_model(path, left_out, trusted)
        for path in map(Path, several)
    ]


def _exported(file: Path, untuned: bool, trust: Iterable[str]) -> TrainedModel | None:
    """The model of an exported file; None for anything else.

    Raises:
        UsageError: If its decoder is to be left out.
        UserError: If it cannot be read without running code that is in it.
    """
    if not file.is_file() or file.suffix not in (".onnx", *UNSAFE):
        return None
    if file.suffix in UNSAFE:
        raise UserError(
            f"{file}: expected a run, a checkpoint or an ONNX file: reading a file of torch.export can run "
            "any code that is in it, so that only you can decide to (torch.export.load)"
        )
    if untuned:
        raise UsageError(
            f"{file} decodes as it was exported: export the run with --untuned true instead", "untuned"
        )
    model = exported_model(file, trust)
    told = ("scale", "resize", "value_range", "depth_limit")
    data = {name: getattr(model.metadata, name) for name in told}
    return TrainedModel(model, file, data, None)


def chosen_precision(
    sources: Sequence[TrainedModel], precision: str | None, device: str | torch.device | None
) -> str:
    """What models compute in: that of their training, which `evaluate` measures, or what is fast if unknown.

    Args:
        sources: The sources.
        precision: As Lightning's, in place of that.
        device: As torch's; the fastest that there is where left out.

    Raises:
        UsageError: If an exported model does not compute in it.
        UserError: If they were trained in several, and none is given.
    """
    if any(isinstance(one.model, ExportedModel) for one in sources):
        if precision not in (None, "32-true"):
            raise UsageError(f"expected 32-true of an exported model, found {precision}", "precision")
        return "32-true"
    trained = [one.data.get("precision") for one in sources]
    return precision or agreed(trained, "precision", "give one for all") or fast_precision(_kind(device))


def placed_models(models: Sequence[Any], precision: str, device: str | torch.device | None) -> Fabric:
    """Moves models to the device that they are to predict on; see `engine.precision.placed`.

    Args:
        models: The models.
        precision: As Lightning's.
        device: As torch's; the fastest that there is where left out.

    Raises:
        UsageError: If there is no such device or precision, or an exported model does not run there.
    """
    if any(isinstance(model, ExportedModel) for model in models):
        if _kind(device) not in ("auto", "cpu"):
            raise UsageError(f"expected cpu of an exported model, found {device}", "device")
        device = "cpu"
    fabric, *_ = [placed(model, precision, device) for model in models]
    return fabric


def common_settings(
    sources: Sequence[TrainedModel], scale: float | None, value_range: ValueRange | None
) -> Json:
    """What answers depend on: the digest of the `checkpoint`, or several, `scale` and `value_range`.

    The size to which images were brought in place of a scale is there as `resize`, if they were, and models
    that take depth as their last channel also have a `depth_limit`.

    Args:
        sources: The sources.
        scale: Takes the place of scale and size of the training.
        value_range: The same.

    Raises:
        UserError: If they were trained with several, and none is given.
    """
    digests = [one.digest for one in sources]
    scales = [float(one.data.get("scale", 1.0)) for one in sources]
    ranges = [one.data.get("value_range") for one in sources]
    resizes = [one.data.get("resize") for one in sources]
    resize = None if scale else agreed(resizes, "size", "give one scale for all")
    limit = agreed([one.data.get("depth_limit") for one in sources], "depth_limit")
    settings = {
        "checkpoint": digests[0] if len(sources) == 1 else digests,
        "scale": scale or agreed(scales, "scale", "give one for all"),
        "value_range": list(value_range)
        if value_range
        else agreed(ranges, "value_range", "give one for all"),
    }
    further = {"resize": resize, "depth_limit": limit}
    return settings | {name: value for name, value in further.items() if value is not None}


def agreed(values: Sequence[Value], name: str, remedy: str = "") -> Value:
    """The value that all runs of an ensemble were trained with.

    Args:
        values: That of each run.
        name: What it is.
        remedy: What can be done where they differ.

    Raises:
        UserError: If they do.
    """
    if other := [value for value in values if value != values[0]]:
        found = f"expected runs of the same {name}, found {values[0]} and {other[0]}"
        raise UserError(f"{found}: {remedy}" if remedy else found)
    return values[0]


def _kind(device: str | torch.device | None) -> str:
    """The kind of a device, such as `cuda` of `cuda:1`; `auto` where it is left out."""
    return "auto" if device is None else str(device).split(":")[0]
