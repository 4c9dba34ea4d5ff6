"""What `config.json` of a saved model holds: everything that answers depend on beside the weights."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UserError
from fusionseg.engine.decoding import Parameters
from fusionseg.files.atomic import Json, write_text
from fusionseg.files.state_dicts import Checkpoint, WeightsError

DECLARED = frozenset({"value_range", "depth_limit"})
"""What data declare of their images besides their arguments (`SegmentationDataModule.state_dict`)."""

KEY = "fusionseg"
"""The one key of the file that is ours; huggingface_hub takes others for arguments of the constructor."""


@dataclass(frozen=True)
class HubConfig:
    """The arguments that rebuild a model, how images come to it, and how its outputs become answers.

    Args:
        class_path: The model's class.
        init_args: The arguments of its constructor: classes, recipes of its parts, channels of an image
            (`backbone.in_channels`).
        scale: Size at which the network sees an image, relative to the image.
        resize: The size to which it is brought in place of that, as in `InputSize`.
        value_range: The values that are black and white in images of more than 8 bits; None where they fill
            their type.
        depth_limit: The depth in meters that the largest value of the last channel stands for; None where
            that is no depth.
        precision: What it was trained in, and a `Predictor` computes in, as Lightning's; None where that is
            not known.
        decoding: What heads decode with, of what can be tuned.
        temperatures: What the logits of a task's probabilities are divided by, where that is not 1.
        decoder: How `fusionseg tune` chose that (the fields of `runs.decoder.Decoder`); None where nothing
            is tuned.
        version: The version of fusionseg that wrote it.

    Raises:
        UserError: If a value has another type or is out of its range.
    """

    class_path: str
    init_args: Json
    scale: float = 1.0
    value_range: list[float] | None = None
    resize: int | list[int] | None = None
    depth_limit: float | None = None
    precision: str | None = None
    decoding: Parameters = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    decoder: Json | None = None
    version: str = field(default_factory=lambda: version("fusionseg"))

    def __post_init__(self) -> None:
        scaled = _is_number(self.scale) and self.scale > 0
        ranged = self.value_range is None or _is_range(self.value_range)
        limited = self.depth_limit is None or (_is_number(self.depth_limit) and self.depth_limit > 0)
        by_task = isinstance(self.decoding, dict) and all(isinstance(v, dict) for v in self.decoding.values())
        expected = {
            "class_path": ("the path of a class", isinstance(self.class_path, str)),
            "init_args": ("names and values", isinstance(self.init_args, dict)),
            "scale": ("a number above 0", scaled),
            "resize": ("a longest side, or height and width,", _is_resize(self.resize)),
            "value_range": ("two numbers, low and high,", ranged),
            "depth_limit": ("a number above 0", limited),
            "precision": ("a precision of Lightning's", isinstance(self.precision, str | None)),
            "decoding": ("parameters by task and name", by_task),
            "temperatures": ("numbers by task", isinstance(self.temperatures, dict)),
            "decoder": ("what `fusionseg tune` writes", isinstance(self.decoder, dict | None)),
            "version": ("a version", isinstance(self.version, str)),
        }
        for name, (kind, holds) in expected.items():
            if not holds:
                raise UserError(f"expected {kind} as {name}, found {getattr(self, name)!r}")

    @classmethod
    def of(cls, content: object, source: Path | str) -> "HubConfig":
        """The configuration in the content of a file.

        Args:
            content: The content, which may be anybody's.
            source: Where it is from, for messages.

        Raises:
            WeightsError: If it is something else.
        """
        own = content.get(KEY) if isinstance(content, dict) else None
        if not isinstance(own, dict):
            raise WeightsError(
                f"{source}: expected a model of save_pretrained or `fusionseg share`, whose config.json has "
                f"the key {KEY!r}"
            )
        known = cls.__dataclass_fields__
        if unknown := [name for name in own if name not in known]:
            raise WeightsError(
                f"{source}: config.json has {', '.join(unknown)}, which fusionseg {version('fusionseg')} "
                f"does not know: it was written by {own.get('version', 'another version')}"
            )
        if missing := [name for name in ("class_path", "init_args") if name not in own]:
            raise WeightsError(f"{source}: config.json lacks {', '.join(missing)}")
        try:
            return cls(**own)
        except UserError as error:
            raise WeightsError(f"{source}: config.json: {error}") from error

    @classmethod
    def read(cls, path: Path) -> "HubConfig":
        """The configuration in a file.

        Raises:
            WeightsError: If there is no such file, or it holds something else.
        """
        if not path.is_file():
            raise WeightsError(
                f"{path}: no such file; is it a folder of save_pretrained or `fusionseg share`?"
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:  # a ValueError of text that is none, too
            raise WeightsError(f"{path}: expected JSON: {error}") from error
        return cls.of(content, path.parent)

    def write(self, path: Path) -> None:
        """Writes the file, in place of an earlier one.

        Raises:
            OSError: If it cannot be written.
        """
        write_text(path, json.dumps({KEY: asdict(self)}, indent=2) + "\n")


def preprocessing(content: Checkpoint) -> Json:
    """The arguments of a checkpoint's data, and what else it declares, under the name of its class."""
    states = [v for v in content.values() if isinstance(v, Mapping) and v and v.keys() <= DECLARED]
    return {**content.get("datamodule_hyper_parameters", {}), **(states[0] if states else {})}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_resize(value: Any) -> bool:
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    return value is None or all(type(side) is int and side > 0 for side in sides)


def _is_range(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2 and all(_is_number(end) for end in value)
    return pair and value[0] < value[1]
