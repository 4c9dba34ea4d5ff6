"""What the doors share: the command line is the constructor, and what a user got wrong is one clear error."""

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from fusionseg.cli.help import manual
from fusionseg.config.errors import UsageError, innermost, located, mapping, usage_error
from fusionseg.config.lightning_messages import quiet
from fusionseg.config.recipe import import_path
from fusionseg.config.validation import check_filled
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.module import FusionModule
from fusionseg.trainer import Trainer

CATALOGUE = ("heads", "networks", "balancing", "data", "losses", "engine.optimization", "callbacks")
DOORS = ("config", "out", "resume", "weights", "wandb")
"""Arguments of the command, which are no part of the experiment."""

DEFAULTS: dict[str, type] = {"model": FusionModule, "data": SegmentationDataModule}


class Parser(LightningArgumentParser):
    """A parser whose errors are one short message, and whose help shows the default model and data too."""

    manual: Callable[[], str] | None = None

    def parse_args(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        # jsonargparse hands a value inside of a part on as text, and null as Python's
        words = sys.argv[1:] if args is None else args
        words = [word.removesuffix("None") + "null" if word.endswith("=None") else word for word in words]
        return super().parse_args(words, *rest, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if found := re.match(r"argument (--\S+): expected one argument$", message):
            words = [
                w for w, after in pairwise([*self.args, "--"]) if after.startswith("--") and "=" not in w
            ]
            bare = next((word for word in words if word.startswith(found[1])), found[1])
            raise UsageError("expected a value, found none", bare.removeprefix("--"))
        more = [
            f"{key}.{name}" for key, made in DEFAULTS.items() for name in inspect.signature(made).parameters
        ]
        owner = "" if self.manual else next(iter(self.groups or ()), "")
        raise usage_error(message, ex, self._actions, more if self.manual else (), owner) from ex

    def format_help(self, *args: Any) -> str:
        return self.manual() if self.manual else super().format_help(*args)


class FusionCLI(LightningCLI):
    """LightningCLI with any LightningModule and LightningDataModule, ours by default.

    A model of your own (`--model my_package.MyModule`) may have an argument `classes`, which is filled in. It logs
    `val/score`, by which the best checkpoint is chosen. For `evaluate` and `predict` it has `classes` and
    `predictions(batch, size)`, a `Prediction` for each image of a batch at a size (H, W); if `validation_step` returns
    these too, there will be pictures. Data of your own (`--data my_package.MyData`) has an attribute `classes` and
    batches that keep the contract of a `Sample`; what its validation dataset's `truth(index)` gives, or else the batch,
    is what answers are scored against.

    Args:
        args: The words of the command line.
        trains: Whether a trainer is wanted too, or only model and data.
    """

    def __init__(self, args: Sequence[str], trains: bool = True) -> None:
        for folder in CATALOGUE:
            _import(f"fusionseg.{folder}")
        self.trains = trains
        files = configurations(args)
        try:
            with quiet():
                super().__init__(
                    LightningModule,
                    LightningDataModule,
                    save_config_callback=None,
                    trainer_class=Trainer,
                    seed_everything_default=0,
                    parser_class=Parser,
                    parser_kwargs={"allow_abbrev": False, "exit_on_error": True},
                    subclass_mode_model=True,
                    subclass_mode_data=True,
                    args=list(args),
                    run=False,
                    auto_configure_optimizers=False,
                    load_from_checkpoint_support=False,
                )
        except UsageError as error:
            typed = {word.split("=")[0].rstrip("+").replace(".init_args.", ".") for word in args}
            raise located(error, [] if f"--{error.key.removesuffix('.*')}" in typed else files) from error
        except ValueError as error:
            raise innermost(error) from error

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        # jsonargparse lets null pass wherever it stands
        given = self.config.clone()
        given.pop("model.init_args.classes", None)  # which the data tell later
        seed = given.get("seed_everything")
        if isinstance(seed, int) and not 0 <= seed < 2**32:
            raise UsageError(f"expected an integer in 0..{2**32 - 1}, found {seed}", "seed_everything")
        for key, made in {**DEFAULTS, "trainer": Trainer}.items():
            if not isinstance(settings := given.as_dict().get(key), dict):
                raise UsageError(f"expected settings (keys and values), found {settings!r}", key)
            check_filled(made, settings, key)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({key: {"class_path": import_path(kind)} for key, kind in DEFAULTS.items()})
        parser.link_arguments("data", "model.init_args.classes", compute_fn=_classes, apply_on="instantiate")
        self.add_command(parser)
        if isinstance(parser, Parser):
            parser.manual = lambda: manual(self.add_command, Trainer)

    def add_command(self, parser: Any) -> None:
        """Adds the arguments of the command itself, those of `DOORS`."""

    def instantiate_classes(self) -> None:
        if self.trains:
            try:
                super().instantiate_classes()
            except RuntimeError as error:
                if twice := re.match(r"Found more than one stateful callback of type `(\w+)`", str(error)):
                    raise UsageError(
                        f"expected {twice[1]} once, found it twice", "trainer.callbacks"
                    ) from error
                raise
        else:
            made = self.parser.instantiate(self.config)
            self.datamodule, self.model = made.data, made.model


def _classes(data: Any) -> Any:
    if not hasattr(data, "classes"):
        raise UsageError(
            f"expected the data to tell its classes, but {type(data).__name__} has no attribute `classes`"
        )
    return data.classes


def _import(name: str) -> None:
    """Imports a module and all in it, so that its classes are known by their short names."""
    module = importlib.import_module(name)
    for _, inner, _ in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"{name}.{inner}")


def configurations(args: Sequence[str]) -> list[Path]:
    """The configuration files that a command line names, each a readable mapping.

    Raises:
        UsageError: If one is not.
    """
    following = [word for flag, word in pairwise(args) if flag in ("-c", "--config")]
    files = [
        Path(f) for f in following + [w.removeprefix("--config=") for w in args if w.startswith("--config=")]
    ]
    for path in files:
        mapping(path)
    return files


def experiment(parser: LightningArgumentParser, config: Namespace) -> str:
    """The complete configuration as YAML, without the arguments of the command."""
    kept = config.clone()
    for name in DOORS:
        kept.pop(name, None)
    kept.trainer.default_root_dir = None
    text = parser.dump(kept, skip_link_targets=True, skip_unset=False)
    # once more, because classes in a default list have no arguments yet
    again = parser.parse_string(text)
    for name in DOORS:
        again.pop(name, None)
    return str(parser.dump(again, skip_link_targets=True, skip_unset=False))
