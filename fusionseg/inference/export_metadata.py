"""What an exported file says beside its graph: enough to prepare images and to decode outputs."""

import dataclasses
import inspect
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fusionseg.config.errors import UserError, with_place
from fusionseg.config.parser_messages import innermost
from fusionseg.config.recipe import built
from fusionseg.config.trust import check_named, untrusted
from fusionseg.engine.decoding import Parameters, decode_with, set_temperatures
from fusionseg.files.atomic import Json
from fusionseg.heads import Head
from fusionseg.inference.output_names import Structure
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import STRIDE
from fusionseg.sample import Classes

KEY = "fusionseg"
"""The name of the metadata in a file."""


@dataclass(frozen=True)
class ExportMetadata:
    """The metadata of an exported file.

    Args:
        classes: The classes of the data.
        heads: The recipe of each task's head, without its weights: `class_path` and `init_args`.
        decoder: The parameters of the heads' decodings, tuned or not, by task and name.
        temperatures: What the logits of each task's probabilities are divided by.
        outputs: Where the graph's outputs are in each head's output.
        areas: The numbers of pixels that a thing and a stuff segment have at least.
        channels: The channels of an image.
        scale: Size at which the network sees an image, relative to the image.
        value_range: The values that are black and white in images of more than 8 bits, if declared.
        resize: The size to which it is brought in place of `scale`, as in `InputSize`.
        depth_limit: The depth in meters that the largest value of the last channel stands for, if that is
            depth.
        stride: What the height and width of the graph's images are multiples of.
        checkpoint: The digest of the checkpoint.
        fusionseg: The version that exported.
    """

    classes: Classes
    heads: dict[str, Json]
    decoder: Parameters
    temperatures: dict[str, float]
    outputs: dict[str, Structure]
    areas: tuple[int, int]
    channels: int
    scale: float
    value_range: tuple[float, float] | None
    checkpoint: str
    resize: int | Sequence[int] | None = None
    depth_limit: float | None = None
    stride: int = STRIDE
    fusionseg: str = dataclasses.field(default_factory=lambda: version("fusionseg"))

    @property
    def text(self) -> str:
        """It as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of(cls, text: str) -> "ExportMetadata":
        """The metadata of such a text.

        Raises:
            ValueError, TypeError, KeyError: If it is something else.
        """
        content = json.loads(text)
        tables = ("classes", "heads", "decoder", "temperatures", "outputs")
        if not all(isinstance(content[name], dict) for name in tables):
            raise ValueError(f"expected names and values in {', '.join(tables)}")
        if not content["heads"] or content["heads"].keys() != content["outputs"].keys():
            raise ValueError("expected heads, and an output of each")
        thing_area, stuff_area = content["areas"]
        return cls(
            **{
                **content,
                "classes": Classes(**content["classes"]),
                "areas": (int(thing_area), int(stuff_area)),
                "channels": int(content["channels"]),
                "scale": float(content["scale"]),
            }
        )


def recipes(model: FusionModule) -> dict[str, Json]:
    """The recipe of each head of a model for features of one channel, as its weights stay in the graph."""
    given: Any = model.hparams
    if "head" in given:  # of a module of one task
        own = dict.fromkeys(model.heads, given["head"])
    else:
        own = {task: given[f"{task}_head"] for task in ("semantic", "region", "scene")}
    own |= {task: extra["head"] for task, extra in (given.get("extra_heads") or {}).items()}
    return {task: _codec(own[task], head, len(model.classes)) for task, head in model.heads.items()}


def parameters(model: FusionModule) -> Parameters:
    """The parameters of the decodings of a model's heads, as they are."""
    return {task: {name: getattr(head, name) for name in head.tunable} for task, head in model.heads.items()}


def codecs(metadata: ExportMetadata, path: Path, trust: Iterable[str] = ()) -> dict[str, Head]:
    """The heads of an exported file, without weights: they decode outputs.

    Args:
        metadata: Its metadata, which may be anybody's: only heads of trusted packages are built.
        path: The file.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        UserError: If the metadata make no heads.
    """
    with untrusted(trust):
        try:
            for task, recipe in metadata.heads.items():
                check_named(Head, recipe, task)
            base: Any = Head
            heads = {task: built(base, recipe).eval() for task, recipe in metadata.heads.items()}
        # nobody lists what constructors say to arguments that may be anything
        except Exception as error:
            reported = " ".join(str(innermost(error)).split())[:300] or type(error).__name__
            raise UserError(f"{path}: its metadata make no heads: {with_place(reported)}") from error
    decode_with(heads, metadata.decoder, path)
    set_temperatures(heads, metadata.temperatures, path)
    return heads


def _codec(recipe: Json, head: Head, classes: int) -> Json:
    """The recipe of a head, with all arguments that have no default."""
    names = list(inspect.signature(type(head)).parameters)
    arguments = {**recipe.get("init_args", {}), names[0]: [1, 1, 1, 1] if head.reads_pyramid else 1}
    if "num_classes" in names:
        arguments["num_classes"] = classes
    if "single" in names:  # which the data may have decided
        arguments["single"] = head.single
    return {"class_path": recipe["class_path"], "init_args": arguments}
