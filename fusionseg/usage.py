"""What a user got wrong on the command line or in a configuration, in one short message."""

import argparse
import difflib
import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

import yaml

LAYERS = (
    "Parser key",
    "Does not validate against any",
    "Call to compute_fn",
    "\n- Expected a path but",
)
"""How the messages begin that jsonargparse puts around the reason."""


class UsageError(ValueError):
    """A command line or configuration that cannot be used.

    Args:
        reason: What was expected, what was found, what to do.
        key: The setting that it is about, with dots.
    """

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.reason, self.key = reason, key


class Words(argparse.ArgumentParser):
    """The arguments of a command that has no configuration; errors are raised, names are never completed."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises what is wrong."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def innermost(error: BaseException) -> BaseException:
    """The error that jsonargparse's layers are wrapped around."""
    while str(error).startswith(LAYERS) and error.__cause__ is not None:
        error = error.__cause__
    return error


def usage_error(message: str, error: BaseException | None, actions: Iterable[Any], more: Iterable[str]) -> UsageError:
    """A parser's error by its key and its reason, without the values of everything around.

    Args:
        message: What the parser says.
        error: What made the parser say it.
        actions: The parser's actions, among which the right key or class is looked for.
        more: Further keys that would have been understood.
    """
    keys: list[str] = []
    layer: BaseException | None = error
    while layer is not None:
        if (found := re.match(r'Parser key "([^"]+)":', str(layer))) and found[1] not in keys[-1:]:
            keys.append(found[1])
        if isinstance(layer, UsageError):
            return UsageError(layer.reason, ".".join([*keys, *filter(None, [layer.key])]))
        layer = layer.__cause__ if str(layer).startswith(LAYERS) else None
    key, known = ".".join(keys), {action.dest: action for action in actions}
    reason = str(innermost(error)) if error is not None else message
    if wrong := re.search(r"(?:Option|does not accept option) '([^']+)'|unrecognized arguments: --([^\s=]+)", message):
        group = re.match(r"Group '([^']+)'", message)
        name = ".".join(filter(None, [group and group[1], wrong[1] or wrong[2]]))
        return UsageError(f"no such setting{nearest(name, [*known, *more])}", ".".join(filter(None, [key, name])))
    if missing := re.match(r"the following arguments are required: (\S+)$", reason):
        return UsageError("missing: it has no default and must be set", f"{key}.{missing[1]}" if key else missing[1])
    return UsageError(_reason(reason, message, known.get(key)), key)


def _reason(reason: str, message: str, action: Any) -> str:
    """What is wrong with a value, in the words of this project."""
    if found := re.match(r"Expected a dot import path string: (.+)", reason):
        classes = [c.__name__ for c in _classes(getattr(action, "_typehint", None))]
        return f"expected a class, found {found[1]!r}{nearest(found[1], classes)}"
    if found := re.match(r"Problem with given class_path '([^']+)':\s+(.+)", reason):
        return f"cannot import {found[1]}: {found[2]}"
    if found := re.match(r"Type .* expects a function or a callable class: (.+)\. Got value: (.+)", reason):
        return f"cannot import {found[2]}: {found[1]}"
    if found := re.match(r"Expected an? (.+?)(?:\. Got value: (.+))?$", reason, re.DOTALL):
        kinds = re.findall(r"- Expected an? (<class .+?>|typing.Literal.+\])", message) or [found[1]]
        wanted = list(dict.fromkeys(map(_kind, kinds)))
        named = re.search(r"Expected a dot import path string: .+|Problem with given class_path '.+':\s+.+", message)
        if named and set(wanted) <= {"a list", "null"}:
            return _reason(named[0], message, action)
        value = found[2] or next(iter(re.findall(r"Given value: (.+)", message)), "something else")
        return f"expected {' or '.join(wanted)}, found {value!r}"
    return re.sub(r"^unrecognized arguments: ", "not understood: ", reason)


def _kind(text: str) -> str:
    """A type as a user would call it."""
    text = text.removeprefix("<class '").removesuffix("'>")
    if text.startswith("typing.Literal["):
        return "one of " + text.removeprefix("typing.Literal[").removesuffix("]").replace("'", "")
    return {
        "NoneType": "null",
        "tuple": "a list",
        "list": "a list",
        "bool": "true, false",
        "int": "an integer",
        "float": "a number",
    }.get(text, text)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what was meant, or at all there is if that is little."""
    among = [k for k in dict.fromkeys(known) if not k.startswith("_") and k not in ("help", "print_config")]
    leaf = name.rsplit(".", 1)[-1]
    near = [k for k in among if k.rsplit(".", 1)[-1] == leaf] or difflib.get_close_matches(name, among, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; expected one of {', '.join(among)}" if 0 < len(among) <= 30 else ""


def _classes(hint: Any) -> list[type]:
    """All classes that can be named where a type is wanted; of a callable, those that it may give."""
    if inspect.isclass(hint):
        below = [inner for c in type.__subclasses__(hint) for inner in _classes(c)]
        return [hint, *below] if not inspect.isabstract(hint) and hint is not type(None) else below
    return [c for part in get_args(hint) if not isinstance(part, list) for c in _classes(part)]


def mapping(path: Path) -> dict[str, Any]:
    """What a configuration file holds.

    Raises:
        UsageError: If there is no such file, or it is no YAML, or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: expected a configuration file: {error.strerror}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: expected a configuration, found one that is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError from text that is none, and from impossible dates
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{where}: expected YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a configuration (keys and values), found {type(content).__name__}")
    return content


def check_filled(made: Any, given: Any, key: str = "") -> None:
    """Raises a `UsageError` where a setting is null whose annotation does not say that it may be.

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
        module, _, name = path.rpartition(".")
        made, given = getattr(importlib.import_module(module), name, None), given.get("init_args") or {}
    if not inspect.isclass(made):
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
            raise UsageError(f"expected {_kind(getattr(hint, '__name__', str(hint)))}, found null", inner)
        check_filled(hint, given[name], inner)


def located(error: UsageError, files: Iterable[Path]) -> UsageError:
    """The error with the file that the setting stands in, where it stands in one."""
    for path in files:
        if _holds(mapping(path), error.key.split(".")):
            return UsageError(f"{error.reason} (in {path})", error.key)
    return error


def _holds(content: Any, keys: list[str]) -> bool:
    """Whether nested mappings hold a key, on whose way `init_args` is passed in silence."""
    if not keys:
        return True
    if not isinstance(content, dict):
        return False
    inside = content.get("init_args")
    return (keys[0] in content and _holds(content[keys[0]], keys[1:])) or (
        isinstance(inside, dict) and _holds(inside, keys)
    )
