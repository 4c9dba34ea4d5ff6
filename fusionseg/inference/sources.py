"""The models of run folders and checkpoints, as they are asked for answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fusionseg.config.errors import UsageError, UserError
from fusionseg.files.atomic import Json
from fusionseg.files.photos import ValueRange
from fusionseg.runs.decoder import digest
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.restore import restored

Value = TypeVar("Value")


@dataclass(frozen=True)
class Source:
    """A trained model and where it is from.

    Attributes:
        model: The LightningModule.
        data: What the checkpoint says about its data.
        digest: The digest of the checkpoint.
        run: The run folder; None where it is of a checkpoint alone.
    """

    model: Any
    data: dict[str, Any]
    digest: str
    run: RunFolder | None

    @property
    def tuned(self) -> bool:
        """Whether the run has a tuned decoder."""
        return self.run is not None and self.run.decoder.is_file()

    @classmethod
    def all(cls, paths: str | Path | Sequence[str | Path], trust: Iterable[str]) -> list["Source"]:
        """What one path names, or each of several.

        Raises:
            UsageError: If there is no path.
            ValueError: If one holds no model.
            OSError: If there is no such file.
        """
        several = [paths] if isinstance(paths, str | Path) else list(paths)
        if not several:
            raise UsageError("expected a run folder or a checkpoint, found none", "run")
        trusted = tuple(trust)
        return [cls.of(path, trusted) for path in several]

    @classmethod
    def of(cls, path: str | Path, trust: Iterable[str]) -> "Source":
        """The best checkpoint of a run folder, or a checkpoint.

        Raises:
            ValueError: If it holds no model.
            OSError: If there is no such file.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"expected a run folder or a checkpoint, found no {path}")
        run = RunFolder(path) if Path(path).is_dir() else None
        checkpoint = Path(path)
        if run:
            run.configuration()
            checkpoint = run.checkpoint()
        model, data = restored(checkpoint, run.path if run else None, trust)
        return cls(model, data, digest(checkpoint), run)


def common_settings(sources: Sequence[Source], scale: float | None, value_range: ValueRange | None) -> Json:
    """What answers depend on: the digest of the `checkpoint`, or several, `scale` and `value_range`.

    Args:
        sources: The sources.
        scale: Takes the place of that of the training.
        value_range: The same.

    Raises:
        UserError: If they were trained with several, and none is given.
    """
    digests = [one.digest for one in sources]
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
