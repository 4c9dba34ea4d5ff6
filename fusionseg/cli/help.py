"""What `--help` shows: the project's own settings with their meaning, from the signatures and their documentation."""

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import lightning.pytorch as pl
from jsonargparse import ArgumentParser

from fusionseg.balancing import Balancer
from fusionseg.config.errors import choices, described
from fusionseg.data.base import SegmentationDataset
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.heads import Head
from fusionseg.losses import Loss
from fusionseg.module import FusionModule
from fusionseg.networks import Network
from fusionseg.networks.backbone import Backbone
from fusionseg.trainer import Trainer

WIDTH = 100
COLUMN = 33
"""Where the meaning of a setting begins."""

USAGE = "usage: python -m fusionseg.fit [--config FILE ...] [--key value ...] [--out DIR]"
ABOUT = """Trains several tasks on one network, by default semantic and region segmentation. Every setting is a key of
the configuration and an argument; later ones win. Where no default is shown it is null."""
ALSO = {
    "config": "YAML file with settings; several are merged in their order.",
    "seed_everything": "Seed of all random numbers. (an integer; default 0)",
    "print_config": "Print the configuration and exit.",
}
MORE = """\
A part's own settings: --model.semantic_head.help SemanticHead, --model.network.help CrossStitch,
--model.balancer.help MGDA, --model.optimizer.help SGD, --data.dataset.help CamVid,
--trainer.callbacks.help EarlyStopping. A model and data of your own: --model my_package.MyModule
--data my_package.MyData (see fusionseg.cli.parser.FusionCLI).

Examples:
  learning rate  --model.optimizer.lr 0.001; of the encoder: --model.encoder_lr 0.1
  losses         --model.semantic_head.losses "[CrossEntropy, Dice]"
  class weights  --model.semantic_head.losses "[{class_path: CrossEntropy,
                 init_args: {class_weights: balanced}}]"
  more tasks     --model.extra_heads "{depth: {head: DepthHead, weight: 0.5}}"
                 --data.dataset SyntheticScenes --data.dataset.depth true
  regions        --model.region_head CenterOffsetHead --model.region_head.sigma 6; without: null
  a run again    --config runs/camvid/config.yaml --out runs/camvid-again"""

FAMILIES: dict[str, type] = {
    "heads": Head,
    "losses": Loss,
    "networks": Network,
    "balancers": Balancer,
    "datasets": SegmentationDataset,
}
"""Base classes of the parts whose names are listed."""


def manual(options: type) -> str:
    """The help of training.

    Args:
        options: The arguments of the command itself, as a dataclass.
    """
    sections = {
        "Command:": [*_also("config"), *settings(options), *_also("seed_everything", "print_config")],
        "Model (--model.help FusionModule tells more):": [
            *settings(FusionModule, "model.", ("classes", "backbone")),
            *settings(Backbone, "model.backbone."),
        ],
        "Data (--data.help SegmentationDataModule tells more):": [*settings(SegmentationDataModule, "data.")],
        "Trainer:": [
            *settings(Trainer, "trainer."),
            *_entry(
                "trainer.help",
                "Lists all further arguments of Lightning's Trainer (--trainer.max_steps ...).",
            ),
        ],
        "Names of parts:": [line for family in FAMILIES.items() for line in _names(*family)],
    }
    lines = [USAGE, "", *_wrapped(ABOUT)]
    for title, shown in sections.items():
        lines += ["", title, *shown]
    return "\n".join([*lines, "", MORE, ""])


def options_manual(usage: str, about: str, options: type) -> str:
    """The help of a command with few arguments.

    Args:
        usage: The command and how its arguments are given.
        about: What it does.
        options: Its arguments, as a dataclass.
    """
    lines = [
        f"usage: python -m fusionseg.{usage}",
        "",
        *_wrapped(about),
        "",
        "Arguments:",
        *settings(options),
    ]
    return "\n".join([*lines, ""])


def trainer_manual() -> str:
    """The help of what `--trainer` accepts beside the project's own settings."""
    parser = ArgumentParser(usage="--trainer.NAME VALUE ...", add_help=False)
    own = set(inspect.signature(Trainer).parameters) - {"kwargs"}
    parser.add_class_arguments(pl.Trainer, "trainer", skip=own)
    return parser.format_help()


def settings(part: Callable[..., Any], prefix: str = "", skip: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines about the arguments of a class: name, first sentence of its documentation, type and default.

    Args:
        part: The class, documented in Google's style.
        prefix: What stands before an argument's name; with one the sentence ends at its semicolon.
        skip: Arguments that are left out.
    """
    hints = get_type_hints(part.__init__)
    meanings = _meanings(part)
    for name, parameter in inspect.signature(part).parameters.items():
        if name in skip or parameter.kind is parameter.VAR_KEYWORD:
            continue
        meaning = meanings.get(name, "")
        if prefix:
            meaning = meaning.split("; ")[0]
        type_and_default = _type(hints[name], parameter.default)
        yield from _entry(prefix + name, f"{meaning.rstrip('.')} ({type_and_default})".strip())


def _type(hint: Any, default: Any) -> str:
    """The default of an argument, and its type where the default does not show it."""
    if default is inspect.Parameter.empty:
        return f"{described(hint)}; required"
    if default is None:
        return described(hint).removesuffix(" or null")
    kinds = f"{described(hint)}; " if get_origin(hint) is Literal else ""
    null = ", or null" if type(None) in get_args(hint) else ""
    return f"{kinds}default {_shown(default)}{null}"


def _meanings(part: Callable[..., Any]) -> dict[str, str]:
    """The first sentence about each argument in a docstring of Google's style."""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?)+)", inspect.getdoc(part) or "", re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()).split(". ")[0] for name, text in entries}


def _shown(value: Any) -> str:
    if inspect.isclass(value):
        return value.__name__
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    text = str(value)
    return "{}" if text == "<factory>" else text


def _names(family: str, base: type) -> list[str]:
    public = importlib.import_module(base.__module__.rpartition(".")[0])
    return _columns(family, ", ".join(c.__name__ for c in choices(base) if hasattr(public, c.__name__)), 13)


def _also(*names: str) -> list[str]:
    return [line for name in names for line in _entry(name, ALSO[name])]


def _entry(name: str, text: str) -> list[str]:
    return _columns(f"--{name}", text, COLUMN)


def _columns(name: str, text: str, column: int) -> list[str]:
    lines = textwrap.wrap(text, WIDTH - column, break_on_hyphens=False)
    first = f"  {name:{column - 3}} {lines[0]}" if len(name) <= column - 3 else ""
    rest = lines[1:] if first else lines
    return [first or f"  {name}", *(" " * column + line for line in rest)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH)
