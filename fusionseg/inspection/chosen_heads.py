"""Which heads' targets are shown: those of a configuration, and the others of the package."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import fusionseg.heads as public
from fusionseg.config.errors import UsageError, mendable
from fusionseg.config.recipe import made, plain
from fusionseg.config.type_names import nearest
from fusionseg.engine.tasks import sized
from fusionseg.heads import Head

Recipes = Mapping[str, Callable[[Any], Head]]
"""Recipes of heads by their names."""


class ShownHead(NamedTuple):
    """A head whose target is shown.

    Args:
        head: The head.
        configured: Whether the configuration declares it.
        settings: Its settings that are no defaults, as text.
    """

    head: Head
    configured: bool
    settings: str

    @property
    def shows(self) -> str:
        """What the picture of its target shows."""
        return (inspect.getdoc(type(self.head).draw_target) or "").split("\n\n")[0].replace("`", "")


def chosen_heads(configured: Recipes, names: str | None, classes: int) -> dict[str, ShownHead]:
    """The heads by the names of their classes, those of the configuration first.

    Args:
        configured: The recipe of each task's head in the configuration.
        names: Names of heads, several with commas between; all where left out.
        classes: The number of classes.

    Raises:
        UsageError: If there is no such head.
    """
    own = {made(recipe).__name__: recipe for recipe in configured.values()}
    known = own | {name: recipe for name, recipe in _package().items() if name not in own}
    wanted = list(known) if names is None else re.split(r"\s*,\s*", names.strip())
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"no head {unknown[0]!r}{nearest(unknown[0], known)}", "heads")
    shown = {}
    for name in wanted:
        with mendable():
            head = _built(sized(known[name], classes))
        shown[name] = ShownHead(head, name in own, _settings(known[name]))
    return shown


def _package() -> Recipes:
    """The heads of the package."""
    every = {name: getattr(public, name) for name in public.__all__}
    return {
        name: kind
        for name, kind in every.items()
        if inspect.isclass(kind) and issubclass(kind, Head) and not inspect.isabstract(kind)
    }


def _built(recipe: Callable[[Any], Head]) -> Head:
    """The head, for features of one channel."""
    reads_pyramid = getattr(made(recipe), "reads_pyramid", False)
    return recipe([1, 1, 1, 1] if reads_pyramid else 1)


def _settings(recipe: Callable[[Any], Head]) -> str:
    """The settings of a recipe that are no defaults and no parts, such as `width 4, min_area 10`."""
    written: Any = plain(recipe)
    parameters = inspect.signature(made(recipe)).parameters
    shown = []
    for name, value in written.get("init_args", {}).items():
        default = parameters[name].default
        if default is inspect.Parameter.empty or "class_path" in json.dumps(value):
            continue
        if value != plain(default):
            shown.append(f"{name} {json.dumps(value)}")
    return ", ".join(shown)
