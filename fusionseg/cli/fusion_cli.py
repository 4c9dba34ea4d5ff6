"""LightningCLI with one-line errors and short names of parts: what training and evaluation parse."""

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from fusionseg.cli.arguments import values, with_head_classes
from fusionseg.cli.parser import Parser
from fusionseg.config.errors import UsageError, in_own_code, located, mapping, mendable
from fusionseg.config.lightning_messages import quiet
from fusionseg.config.parser_messages import innermost
from fusionseg.config.recipe import import_path
from fusionseg.config.trust import check_named
from fusionseg.config.type_names import nearest
from fusionseg.config.validation import check_filled
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.module import FusionModule
from fusionseg.trainer import Trainer

CATALOGUE = (
    *("heads", "networks", "balancing", "data", "losses", "engine.optimization", "callbacks"),
    "classification",
)
"""Packages whose classes the command line knows by their short names."""

OPTIONS = ("config", "out", "resume", "weights", "wandb", "trust")
"""Arguments of the command, which are no part of the experiment."""

BASES: dict[str, type] = {"model": LightningModule, "data": LightningDataModule, "trainer": Trainer}
TRAINER = (*inspect.signature(Trainer).parameters, *inspect.signature(pl.Trainer).parameters)
DEFAULTS: dict[str, type] = {"model": FusionModule, "data": SegmentationDataModule}


class LightningParser(Parser, LightningArgumentParser):
    """The same for `LightningCLI`."""


class FusionCLI(LightningCLI):
    """LightningCLI with any LightningModule and LightningDataModule, ours by default.

    A model of your own (`--model my_package.MyModule`) may have an argument `classes`, which is filled in. It
    logs `val/score`, by which the best checkpoint is chosen. For `evaluate` and `predict` it has `classes`
    and `predictions(batch, size)`, a `Prediction` for each image of a batch at a size (H, W); if
    `validation_step` returns these too, there will be pictures. Data of your own (`--data my_package.MyData`)
    has an attribute `classes` and batches that keep the contract of a `Sample`; what its validation dataset's
    `truth(index)` gives, or else the batch, is what answers are scored against.

    Args:
        args: The arguments of the command line.
    """

    plain: ClassVar[tuple[str, ...]] = ()
    """Those of `BASES` whose settings are accepted as they are and of which nothing is built."""

    def __init__(self, args: Sequence[str]) -> None:
        for package in CATALOGUE:
            _import(f"fusionseg.{package}")
        if "--trainer.help" in args:
            from fusionseg.cli.fit_help import trainer_manual

            print(trainer_manual())
            sys.exit(0)
        files = configurations(args)
        try:
            with quiet():
                super().__init__(
                    LightningModule,
                    LightningDataModule,
                    save_config_callback=None,
                    trainer_class=Trainer,
                    seed_everything_default=0,
                    parser_class=LightningParser,
                    parser_kwargs={"allow_abbrev": False, "exit_on_error": True},
                    subclass_mode_model=True,
                    subclass_mode_data=True,
                    args=with_head_classes(args),
                    run=False,
                    auto_configure_optimizers=False,
                    load_from_checkpoint_support=False,
                )
        except UsageError as error:
            typed = {word.split("=")[0].rstrip("+").replace(".init_args.", ".") for word in args}
            raise located(error, [] if f"--{error.key.removesuffix('.*')}" in typed else files) from error
        except (ValueError, MisconfigurationException, ImportError, OSError) as error:
            cause = innermost(error)
            if isinstance(cause, AttributeError | AssertionError):  # a bug in the constructor of a part
                raise cause from None
            own = [OSError] if in_own_code(cause) else []
            with mendable(MisconfigurationException, ImportError, *own):
                raise cause from error

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        # jsonargparse lets null pass wherever it stands
        given = self.config.clone()
        if "model" in self.built:
            given.pop("model.init_args.classes", None)  # which the data tell later
        seed = given.get("seed_everything")
        if isinstance(seed, int) and not 0 <= seed < 2**32:
            raise UsageError(f"expected an integer in 0..{2**32 - 1}, found {seed}", "seed_everything")
        for key, base in BASES.items():
            if not isinstance(settings := given.as_dict().get(key), dict):
                raise UsageError(f"expected settings (keys and values), found {settings!r}", key)
            if key not in self.plain:
                check_named(base, settings, key)
                check_filled(DEFAULTS.get(key, base), settings, key)
            elif key == "trainer" and (unknown := sorted(settings.keys() - set(TRAINER))):
                raise UsageError(f"no such setting{nearest(unknown[0], TRAINER)}", f"trainer.{unknown[0]}")

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        if not self.plain:
            super().add_core_arguments_to_parser(parser)
            return
        for key in self.built:
            parser.add_lightning_class_args(BASES[key], key, subclass_mode=True)
        for key in self.plain:
            parser.add_argument(f"--{key}", type=dict, default={})

    @property
    def built(self) -> list[str]:
        """Those of model and data that are built."""
        return [key for key in DEFAULTS if key not in self.plain]

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({key: {"class_path": import_path(DEFAULTS[key])} for key in self.built})
        if "model" in self.built:
            target = "model.init_args.classes"
            parser.link_arguments("data", target, compute_fn=self.classes_of, apply_on="instantiate")
        self.add_options(parser)
        if isinstance(parser, Parser):
            parser.manual = self.manual
            parser.known = [
                f"{key}.{name}" for key in self.built for name in inspect.signature(DEFAULTS[key]).parameters
            ]

    def classes_of(self, data: Any) -> Any:
        """The classes that the model is given."""
        if not hasattr(data, "classes"):
            raise UsageError(f"expected data with an attribute `classes`, but {type(data).__name__} has none")
        return data.classes

    def add_options(self, parser: Any) -> None:
        """Adds the arguments of the command itself."""

    def manual(self) -> str:
        """The text of `--help`."""
        raise NotImplementedError

    def instantiate_classes(self) -> None:
        if self.plain:
            made = self.parser.instantiate(self.config)
            self.datamodule = made.data
            self.model = made.model if "model" in self.built else None
            return
        try:
            super().instantiate_classes()
        except RuntimeError as error:
            if twice := re.match(r"Found more than one stateful callback of type `(\w+)`", str(error)):
                raise UsageError(f"expected {twice[1]} once, found it twice", "trainer.callbacks") from error
            raise


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
    files = [Path(value) for flag in ("--config", "-c") for value in values(args, flag)]
    for path in files:
        mapping(path)
    return files
