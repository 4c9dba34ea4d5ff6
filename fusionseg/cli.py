"""What the doors share: the command line is the constructor, and what a user got wrong is one clear error."""

import importlib
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from fusionseg.trainer import Trainer

CATALOGUE = ("heads", "networks", "data", "losses", "optimization")
DOORS = ("config", "out", "weights", "wandb")
"""Arguments of the command, which are no part of the experiment."""


class Parser(LightningArgumentParser):
    """A parser whose errors are short and whose help shows the default model and data too."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if os.environ.get("FUSIONSEG_DEBUG") and ex is not None:
            raise ex
        raise UsageError(_told(message, ex))


class UsageError(ValueError):
    """A command line or configuration that cannot be used."""


class FusionCLI(LightningCLI):
    """LightningCLI with any LightningModule and LightningDataModule, ours by default.

    Args:
        args: The words of the command line.
        trains: Whether a trainer is wanted too, or only model and data.
    """

    def __init__(self, args: Sequence[str], trains: bool = True) -> None:
        for folder in CATALOGUE:
            _import(f"fusionseg.{folder}")
        self.trains = trains
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "LightningCLI's args parameter")
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

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults(
            {
                "model": {"class_path": "fusionseg.module.FusionModule"},
                "data": {"class_path": "fusionseg.data.datamodule.SegmentationDataModule"},
            }
        )
        parser.link_arguments("data", "model.init_args.classes", compute_fn=_classes, apply_on="instantiate")

    def instantiate_classes(self) -> None:
        if self.trains:
            super().instantiate_classes()
        else:
            made = self.parser.instantiate_classes(self.config)
            self.datamodule, self.model = made.data, made.model


def _classes(data: Any) -> Any:
    if not hasattr(data, "classes"):
        raise UsageError(f"expected the data to tell its classes, but {type(data).__name__} has no attribute `classes`")
    return data.classes


def _import(name: str) -> None:
    """Imports a module and all in it, so that its classes are known by their short names."""
    module = importlib.import_module(name)
    for _, inner, _ in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"{name}.{inner}")


def experiment(config: Namespace) -> Namespace:
    """The configuration without the arguments of the command."""
    kept = config.clone()
    for door in DOORS:
        kept.pop(door, None)
    return kept


def _told(message: str, error: BaseException | None) -> str:
    """The innermost reason of a parser's error, without the values of everything around."""
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    drop = ("Given value", "Subtypes:", "Errors:", "Does not validate against any", "- Expected a <class 'NoneType'>")
    kept = [line.strip().removeprefix("- ") for line in lines if not line.strip().startswith(drop)]
    return "\n  ".join(dict.fromkeys(kept))


def door(main: Callable[[Sequence[str]], None]) -> NoReturn:
    """Runs a command and exits: 2 after what the user can mend, said in one message without a traceback.

    With `FUSIONSEG_DEBUG=1` the traceback comes too.
    """
    from fusionseg.data.base import message_of

    try:
        main(sys.argv[1:])
    except (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, MisconfigurationException) as error:
        if os.environ.get("FUSIONSEG_DEBUG"):
            traceback.print_exc()
        print(f"error: {message_of(error)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)
