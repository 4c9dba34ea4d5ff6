"""The text of `--help`: the project's own settings with their meaning, from signatures and docstrings."""

import importlib
import inspect
import json
import re
import textwrap
from typing import Any, Literal, get_args, get_origin, get_type_hints

import lightning.pytorch as pl
from jsonargparse import ArgumentParser

from fusionseg.balancing import Balancer
from fusionseg.config.type_names import described, names
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
ABOUT = """Trains several tasks on one network, by default semantic and region segmentation. Every setting is
a key of the configuration and an argument; later ones win. Where no default is shown it is null."""
ALSO = {
    "--config": "YAML file with settings; several are merged in their order.",
    "--seed_everything": "Seed of all random numbers (default 0)",
    "--print_config": "Print the configuration and exit.",
}
"""Arguments that LightningCLI adds."""

LIGHTNINGS = (
    "--trainer.help",
    "Lists all further arguments of Lightning's Trainer (--trainer.max_steps ...).",
)
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
        "Command:": {**settings(options), **ALSO},
        "Model (--model.help FusionModule tells more):": {
            **settings(FusionModule, "model.", ("classes", "backbone")),
            **settings(Backbone, "model.backbone."),
        },
        "Data (--data.help SegmentationDataModule tells more):": settings(SegmentationDataModule, "data."),
        "Trainer:": {**settings(Trainer, "trainer."), **dict([LIGHTNINGS])},
    }
    lines = [USAGE, "", *_wrapped(ABOUT)]
    for title, entries in sections.items():
        lines += ["", title, *(line for name, text in entries.items() for line in _columns(name, text))]
    lines += ["", "Names of parts:"]
    for family, base in FAMILIES.items():
        public = importlib.import_module(base.__module__.rpartition(".")[0])
        shown = ", ".join(name for name in names(base) if hasattr(public, name))
        lines += _columns(family, shown, 13)
    return "\n".join([*lines, "", MORE, ""])


def options_manual(usage: str, about: str, options: type) -> str:
    """The help of a command with few arguments.

    Args:
        usage: The command and how its arguments are given.
        about: What it does.
        options: Its arguments, as a dataclass.
    """
    lines = [f"usage: python -m {usage}", "", *_wrapped(about), "", "Arguments:"]
    for name, text in settings(options).items():
        lines += _columns(name, text)
    return "\n".join([*lines, ""])


def trainer_manual() -> str:
    """The help of what `--trainer` accepts beside the project's own settings."""
    parser = ArgumentParser(usage="--trainer.NAME VALUE ...", add_help=False)
    own = set(inspect.signature(Trainer).parameters) - {"kwargs"}
    parser.add_class_arguments(pl.Trainer, "trainer", skip=own)
    return parser.format_help()


def settings(part: Any, prefix: str = "", skip: tuple[str, ...] = ()) -> dict[str, str]:
    """What is shown of the arguments of a class: the first sentence of their documentation, type and default.

    Args:
        part: The class, documented in Google's style.
        prefix: What stands before an argument's name; with one the sentence ends at its semicolon.
        skip: Arguments that are left out.
    """
    hints = get_type_hints(part.__init__)
    section = re.search(r"^Args:\n((?: {4}.*\n?)+)", inspect.getdoc(part) or "", re.MULTILINE)
    documented = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section[1] if section else "", re.MULTILINE)
    meanings = {name: " ".join(text.split()) for name, text in documented}
    shown = {}
    for name, parameter in inspect.signature(part).parameters.items():
        if name not in skip and parameter.kind is not parameter.VAR_KEYWORD:
            meaning = re.split(r"\. |; " if prefix else r"\. ", meanings.get(name, ""))[0].rstrip(".")
            shown[f"--{prefix}{name}"] = f"{meaning} ({_type(hints[name], parameter.default)})".strip()
    return shown


def _type(hint: Any, default: Any) -> str:
    """The default of an argument, and its type where the default does not show it."""
    if default is inspect.Parameter.empty:
        return f"{described(hint)}; required"
    if default is None:
        return described(hint).removesuffix(" or null")
    kinds = f"{described(hint)}; " if get_origin(hint) is Literal else ""
    null = ", or null" if type(None) in get_args(hint) else ""
    return f"{kinds}default {_shown(default)}{null}"


def _shown(value: Any) -> str:
    """A default as YAML has it; a class by its name, a default that is made anew each time as empty."""
    return value.__name__ if inspect.isclass(value) else json.dumps(value, default=lambda _: {}).strip('"')


def _columns(name: str, text: str, column: int = COLUMN) -> list[str]:
    first = f"  {name} ".ljust(column)
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * column, break_on_hyphens=False
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH)
