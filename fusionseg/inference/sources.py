"""The models of run folders and checkpoints, as they are asked for answers."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import Json
from fusionseg.files.photos import ValueRange
from fusionseg.runs.decoder import digest
from fusionseg.runs.trained_model import TrainedModel, trained_model

Value = TypeVar("Value")


def trained_models(
    paths: str | Path | Sequence[str | Path], untuned: bool, trust: Iterable[str]
) -> list[TrainedModel]:
    """What one path names, or each of several, whose tuned decoders are left out.

    Args:
        paths: Run folders, checkpoints, and folders of `save_pretrained`.
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
    return [trained_model(Path(path), untuned or len(several) > 1, trusted) for path in several]


def common_settings(
    sources: Sequence[TrainedModel], scale: float | None, value_range: ValueRange | None
) -> Json:
    """What answers depend on: the digest of the `checkpoint`, or several, `scale` and `value_range`.

    Args:
        sources: The sources.
        scale: Takes the place of that of the training.
        value_range: The same.

    Raises:
        UserError: If they were trained with several, and none is given.
    """
    digests = [digest(one.file) for one in sources]
    scales = [float(one.data.get("scale", 1.0)) for one in sources]
    ranges = [one.data.get("value_range") for one in sources]
    return {
        "checkpoint": digests[0] if len(sources) == 1 else digests,
        "scale": scale or agreed(scales, "scale", "give one for all"),
        "value_range": list(value_range)
        if value_range
        else agreed(ranges, "value_range", "give one for all"),
    }


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
