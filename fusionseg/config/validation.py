"""Whether settings say what is to be made."""

import dataclasses
import inspect
from typing import Any, get_args, get_type_hints

from fusionseg.config.errors import UsageError
from fusionseg.config.trust import imported
from fusionseg.config.type_names import described, names, nearest


def check_filled(made: Any, given: Any, key: str = "") -> None:
    """Raises a `UsageError` where a setting is null against its annotation or names an abstract class.

    A dataclass among the settings is made once, so that a `UsageError` of its `__post_init__` comes here too.

    Args:
        made: What is made of the settings: a class, or a type of which one is named in them.
        given: Its arguments by name, or `class_path` and `init_args`, as the parser gives them.
        key: The setting that it is, with dots.
    """
    if isinstance(given, list):
        for part in given:
            check_filled(None, part, key)
    if not isinstance(given, dict):
        return
    if isinstance(path := given.get("class_path"), str):
        made, given = imported(path), given.get("init_args") or {}
        if inspect.isabstract(made):
            raise UsageError(f"found {made.__name__}, which is abstract{_choice(made)}", key)
    if not inspect.isclass(made):
        for name, part in given.items():
            check_filled(None, part, f"{key}.{name}")
        return
    try:
        hints = get_type_hints(made.__init__)
    except (NameError, TypeError):  # of another project, which hides its imports from us
        return
    parameters = inspect.signature(made).parameters
    for name in given.keys() & parameters.keys() & hints.keys():
        hint, inner = hints[name], f"{key}.{name}".lstrip(".")
        wanted = type(None) not in get_args(hint) and hint not in (Any, type(None))
        if given[name] is None and wanted and parameters[name].default is not None:
            raise UsageError(f"expected {described(hint)}, found null{_choice(hint)}", inner)
        check_filled(hint, given[name], inner)
    if dataclasses.is_dataclass(made):
        _check_values(made, given)


def _check_values(described: type, given: dict[str, Any]) -> None:
    """Raises the `UsageError` of a dataclass that checks its own values, before anything is built."""
    try:
        described(**given)
    except UsageError:
        raise
    # any other error is raised again, with its own traceback, where the dataclass is made to be used
    except Exception:
        return


def _choice(hint: object) -> str:
    return nearest("", names(hint))
