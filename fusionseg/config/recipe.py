"""Recipes (classes, partials) and their plain form, which a file without code can hold."""

import dataclasses
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from jsonargparse import ArgumentParser

from fusionseg.config.replacement import forget_replaced_defaults
from fusionseg.config.short_names import settle_short_names

Plain: TypeAlias = bool | int | float | str | list["Plain"] | dict[str, "Plain"] | None


# here, because the command line and the loading of a checkpoint both parse recipes, and import this file
forget_replaced_defaults()
settle_short_names()


def plain(value: object) -> Plain:
    """The value as YAML and a weights-only checkpoint hold it; recipes become `{class_path, init_args}`.

    Args:
        value: A plain value, a class or function, a `functools.partial` of one with keywords only, a
            dataclass, or containers of these.

    Raises:
        ValueError: For anything that cannot be named, such as a lambda or an object.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)  # NumPy's float64 is one too, but no file without code holds it
    if isinstance(value, str):
        return str(value)
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, functools.partial):
        return {"class_path": import_path(made(value)), "init_args": plain(value.keywords)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if inspect.isclass(value) or inspect.isfunction(value):
        return {"class_path": import_path(value)}
    raise ValueError(
        f"expected a plain value or a recipe (a class, or functools.partial of one), found {value!r}: it "
        "could not be rebuilt from a checkpoint"
    )


def made(recipe: Any) -> Any:
    """The class or function behind a recipe.

    Raises:
        ValueError: If the recipe fixes arguments by position.
    """
    if not isinstance(recipe, functools.partial):
        return recipe
    # jsonargparse's recipes are partials of a function of its own whose last argument is the class
    if recipe.args and getattr(recipe.func, "__module__", "").startswith("jsonargparse"):
        return recipe.args[-1]
    if recipe.args:
        raise ValueError(f"a recipe takes keywords only, found the arguments {recipe.args}")
    return recipe.func


def record(part: Any, arguments: Mapping[str, object]) -> None:
    """Saves a constructor's arguments as hyperparameters of a LightningModule or LightningDataModule.

    They are named as the command line does, so that Lightning's `load_from_checkpoint` rebuilds the recipes.

    Args:
        part: The module, in whose constructor this is called.
        arguments: The constructor's `locals()`, before other variables are assigned.

    Raises:
        ValueError: If an argument cannot be stored without code, such as a lambda.
    """
    recipe = {name: plain(value) for name, value in arguments.items() if name not in ("self", "__class__")}
    part.hparams.clear()  # of those of a base class, whose constructor recorded its own
    recipe["_instantiator"] = "lightning.pytorch.cli.instantiate_module"
    part.save_hyperparameters(recipe, logger=False)


def import_path(value: Callable[..., object]) -> str:
    """The shortest public path of a class or function, such as `fusionseg.heads.BoundaryHead`.

    That is what jsonargparse writes into a configuration. The rule is its own (`get_import_path` of its
    private module `_util`, which a test holds this one against): of the packages above the definition, the
    topmost that has it.

    Raises:
        ValueError: If it has no name to be found by, because it is a lambda or defined in a function.
    """
    home = str(value.__module__)
    name = str(value.__qualname__)
    if "<" in name:
        raise ValueError(
            f"{home}.{name} has no name to rebuild it by: pass a class or functools.partial of one instead"
        )
    parts = home.split(".")
    for count in range(1, len(parts)):
        package = ".".join(parts[:count])
        if getattr(importlib.import_module(package), name, None) is value:
            return f"{package}.{name}"
    return f"{home}.{name}"


def built(base: type, recipe: Plain) -> Any:
    """The part that a plain recipe describes, of a class or one derived from it: the inverse of `plain`.

    Args:
        base: The class.
        recipe: The `class_path` and the `init_args`, which name every argument without a default.

    Raises:
        Exception: If they make none; jsonargparse and constructors raise errors of many kinds.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=base)
    return parser.instantiate(parser.parse_object({"part": recipe})).part
