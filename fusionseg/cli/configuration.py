"""The configuration of an experiment as YAML that reads back as what it was."""

import importlib
import inspect
import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.cli import LightningArgumentParser

from fusionseg.cli.fusion_cli import OPTIONS
from fusionseg.config.errors import UsageError, mendable
from fusionseg.config.recipe import import_path

UNABLE = "Unable to serialize instance"
"""How jsonargparse begins the text of a value that it has none for."""


def experiment(parser: LightningArgumentParser, config: Namespace) -> str:
    """The complete configuration as YAML, without the arguments of the command.

    Raises:
        UserError: If a value has no text that reads back; the message names it.
    """
    kept = config.clone()
    kept.trainer.default_root_dir = None
    with mendable():
        _add_arguments(kept)
        return _dumped(parser, kept)


def _add_arguments(value: Any) -> None:
    """Gives the classes of default lists their arguments, which jsonargparse leaves as they are, in place."""
    inner = vars(value) if isinstance(value, Namespace) else value
    if isinstance(inner, dict | list):
        for item in inner.values() if isinstance(inner, dict) else inner:
            _add_arguments(item)
    arguments = value.get("init_args") if isinstance(value, Namespace) else None
    if isinstance(arguments, Namespace):
        for name, given in vars(arguments).items():
            if isinstance(given, list) and any(map(inspect.isclass, given)):
                arguments[name] = _parsed_argument(_class(vars(value)), name, given)


def _parsed_argument(made: Callable[..., Any], name: str, value: list[Any]) -> Any:
    """A list of classes as the parser of a part's arguments reads it."""
    parser = ArgumentParser(exit_on_error=False)
    others = {other for other in inspect.signature(made).parameters if other != name}
    parser.add_class_arguments(made, skip=others)
    paths = [import_path(inner) if inspect.isclass(inner) else inner for inner in value]
    return parser.parse_object({name: paths})[name]


def _dumped(parser: LightningArgumentParser, config: Namespace) -> str:
    for name in OPTIONS:
        config.pop(name, None)
    config = _without_enums(config)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", rf"\s*{UNABLE}")
        text = str(parser.dump(config, skip_link_targets=True, skip_unset=False, skip_validation=True))
    if UNABLE not in text:
        return text
    return yaml.safe_dump(_readable(yaml.safe_load(text), config, ""), sort_keys=False)


def _without_enums(value: Any) -> Any:
    """The value with plain texts in place of enumerations of texts, which YAML does not know."""
    if isinstance(value, Namespace):
        kept = value.clone()
        for name, inner in vars(value).items():
            kept[name] = _without_enums(inner)
        return kept
    if isinstance(value, list):
        return [_without_enums(inner) for inner in value]
    return value.value if isinstance(value, Enum) and isinstance(value, str) else value


def _readable(dumped: Any, given: Any, key: str, made: object = None) -> Any:
    """What was dumped, with the text itself in place of texts that could not be, and without such defaults.

    Args:
        dumped: What jsonargparse made of it.
        given: What was to be dumped.
        key: The setting that it is, with dots.
        made: The class whose arguments these are.

    Raises:
        UsageError: If another value could not be dumped.
    """
    if isinstance(dumped, list):
        return [_readable(inner, of, key) for inner, of in zip(dumped, given, strict=True)]
    if not isinstance(dumped, dict):
        return dumped
    defaults = inspect.signature(made).parameters if inspect.isclass(made) else {}
    readable = {}
    for name, inner in dumped.items():
        value = given[name]
        if not (isinstance(inner, str) and inner.startswith(UNABLE)):
            part = _class(dumped) if name == "init_args" else None
            readable[name] = _readable(inner, value, key if part else f"{key}.{name}".lstrip("."), part)
        elif isinstance(value, str):
            readable[name] = value
        elif name not in defaults or defaults[name].default != value:
            raise UsageError(
                f"expected a value that config.yaml can hold (a text, number or class), found {value!r}",
                f"{key}.{name}",
            )
    return readable


def _class(part: dict[str, Any]) -> Any:
    module, _, name = part["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)
