"""What a user got wrong on the command line or in a configuration, in one short message."""

import argparse
import difflib
import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

import yaml

LAYERS = (
    "Parser key",
    "Does not validate against any",
    "Call to compute_fn",
    "\n- Expected a path but",
)
"""How the messages begin that jsonargparse puts around the reason."""
OTHER = (
    r"Expected '(.+?)' to be a|Import path (.+) does not correspond|\"(.+)\" is not a|"
    r"Expected an import path or a subclass spec, but got (.+)"
)
"""How jsonargparse says that a value is no class of the kind that is wanted."""
UNNAMED, UNKNOWN = "expected a class_path", "no such setting of "


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


def usage_error(
    message: str, error: BaseException | None, actions: Iterable[Any], more: Iterable[str], owner: str = ""
) -> UsageError:
    """A parser's error by its key and its reason, without the values of everything around.

    Args:
        message: What the parser says.
        error: What made the parser say it.
        actions: The parser's actions, among which the right key or class is looked for.
        more: Further keys that would have been understood.
        owner: The class whose settings these are.

    Returns:
        The error. In its key `*` is the name of a part in a mapping, where nothing tells it.
    """
    keys: list[str] = []
    layer: BaseException | None = error
    while layer is not None and not isinstance(layer, UsageError):
        if (found := re.match(r'Parser key "([^"]+)":', str(layer))) and found[1] not in keys[-1:]:
            keys.append(found[1])
        layer = layer.__cause__ if str(layer).startswith(LAYERS) else None
    said = str(innermost(error)) if error is not None else message
    if flag := re.match(r"--(\S+\.help): (.+)", said):
        keys, said = [flag[1]], flag[2]
    key, known = ".".join(keys), {action.dest: action for action in actions}
    hint = getattr(known.get(key), "_typehint", None)
    told = layer if isinstance(layer, UsageError) else _told(said, message, hint, [*known, *more], owner)
    mapped = any(get_origin(part) in (dict, Mapping) for part in (hint, *get_args(hint)))
    key = ".".join(filter(None, [key, "*" if mapped else "", told.key]))
    given = re.search(r"Given value: NestedArg\(key='([^']+)'", message)
    reason = told.reason + (_having(told.key, hint) if told.reason.startswith(UNKNOWN) else "")
    return UsageError(reason, _starred(key, f"{keys[0]}.{given[1]}") if given and keys else key)


def _told(said: str, message: str, hint: Any, known: Iterable[str], owner: str) -> UsageError:
    """What is wrong at the innermost place, by its key from there."""
    if wrong := re.search(
        r"(?:Option|does not accept option) '([^']+)'|unrecognized arguments: --([^\s=]+)", message
    ):
        group = re.match(r"Group '([^']+)'", message)
        name = ".".join(filter(None, [group and group[1], wrong[1] or wrong[2]]))
        near = nearest(name, known)
        return UsageError(
            ("no such setting" if "did you mean" in near or not owner else UNKNOWN + owner) + near, name
        )
    if missing := re.match(r"the following arguments are required: (\S+)$", said):
        return UsageError("missing: it has no default and must be set", missing[1])
    return UsageError(_reason(said, message, hint))


def _having(setting: str, hint: Any) -> str:
    """Which of the classes that a type allows do have a setting."""
    classes: list[Any] = choices(hint)
    having = [c.__name__ for c in classes if setting in getattr(c.__init__, "__annotations__", {})]
    return f"; name a class before that has it ({', '.join(having)})" if having else ""


def _starred(key: str, given: str) -> str:
    """The key with the names that a given one has for its stars, as far as the two agree."""
    pieces, names = key.split("."), [name.rstrip("+") for name in given.split(".") if name != "init_args"]
    for i, (piece, name) in enumerate(zip(pieces, names, strict=False)):
        if piece not in ("*", name):
            break
        pieces[i] = name
    return ".".join(pieces)


def _reason(reason: str, message: str, hint: Any) -> str:
    """What is wrong with a value, in the words of this project."""
    classes = [c.__name__ for c in choices(hint)]
    if found := re.match(r"Expected a dot import path string: (.+)", reason):
        return f"expected a class, found {found[1]!r}{nearest(found[1], classes)}"
    if found := re.match(r"Problem with given class_path '([^']+)':\s+(.+)", reason):
        return f"cannot import {found[1]}: {found[2]}"
    if found := re.match(r"Type .* expects a function or a callable class: (.+)\. Got value: (.+)", reason):
        if bare := re.match(r"Dict must include a class_path .* but got (.+)", found[1]):
            return f"{UNNAMED}, found {bare[1]} alone"
        if not re.match(OTHER, found[1]):
            return f"cannot import {found[2]}: {found[1]}"
        reason = found[1]
    if found := re.match(OTHER, reason):
        value = str(found[found.lastindex or 0]).replace("None", "null")
        return f"expected {named(hint)}, found {value}{nearest(value, classes)}"
    if found := re.match(r"Expected an? (.+?)(?:\. Got value: (.+))?$", reason, re.DOTALL):
        kinds = re.findall(r"- Expected an? (<class .+?>|typing.Literal.+\])", message) or [found[1]]
        wanted = list(dict.fromkeys(map(_kind, kinds)))
        inner = re.search(
            r"Expected a dot import path string: .+|Problem with given class_path '.+':\s+.+", message
        )
        if inner and set(wanted) <= {"a list", "null"}:
            return _reason(inner[0], message, hint)
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


def named(hint: Any) -> str:
    """What a type wants, by the names of its classes where it has any."""
    names = dict.fromkeys(base.__name__ for base in _bases(hint)) or [
        _kind(getattr(hint, "__name__", str(hint)))
    ]
    return " or ".join(f"a{'n' * (n[0] in 'AEIO')} {n}" if n[0].isupper() else n for n in names)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what was meant, or at all there is if that is little."""
    among = [k for k in dict.fromkeys(known) if not k.startswith("_") and k not in ("help", "print_config")]
    leaf, lower = name.rsplit(".", 1)[-1].lower(), {k.lower(): k for k in reversed(among)}
    near = [k for k in among if k.rsplit(".", 1)[-1].lower() == leaf]
    near += [lower[k] for k in difflib.get_close_matches(name.lower(), lower, 1)]
    if near and "," not in name:  # which would be several
        return f"; did you mean {near[0]}?"
    return f"; expected one of {', '.join(among)}" if 0 < len(among) <= 30 else ""


def choices(hint: Any) -> list[type]:
    """All classes that can be named where a type is wanted."""
    if inspect.isclass(hint):
        below = [inner for c in type.__subclasses__(hint) for inner in choices(c)]
        return below if inspect.isabstract(hint) else [hint, *below]
    return [c for base in _bases(hint) for c in choices(base)]


def _bases(hint: Any) -> list[type]:
    """The classes in a type, but Python's own; of a callable, those that it may give."""
    kind = (
        hint if inspect.isclass(hint) else get_origin(hint)
    )  # of a generic class, not what it is generic in
    if inspect.isclass(kind) and kind.__module__ not in ("builtins", "typing", "types", "collections.abc"):
        return [kind]
    return [base for part in get_args(hint) if not isinstance(part, list) for base in _bases(part)]


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
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # a ValueError from text that is none, and from impossible dates
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(
            f"{path}{where}: expected YAML: {getattr(error, 'problem', None) or error}"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(
            f"{path}: expected a configuration (keys and values), found {type(content).__name__}"
        )
    return content


def located(error: UsageError, files: Iterable[Path]) -> UsageError:
    """The error with the file that the setting stands in, where it stands in one."""
    contents, bare = {path: mapping(path) for path in files}, error.key.removesuffix(".*")
    for key in (error.key, bare):
        for path, content in contents.items():
            if ways := _ways(content, key.split(".")):
                named = ".".join(ways[0]) if len(ways) == 1 else bare
                return UsageError(f"{error.reason} (in {path})", named)
    *above, name = bare.split(".")
    if error.reason.startswith(UNNAMED):
        beside = [way[-1] for content in contents.values() for way in _ways(content, [*above, "*"])]
        return UsageError(error.reason + nearest(name, beside), bare)
    return UsageError(error.reason, bare)


def _ways(content: Any, keys: list[str]) -> list[list[str]]:
    """The keys in nested mappings that a key may mean, with any name for `*`; `init_args` is passed in silence."""
    if not keys or not isinstance(content, dict):
        return [] if keys else [[]]
    names = content if keys[0] == "*" else [name for name in keys[:1] if name in content]
    ways = [[str(name), *way] for name in names for way in _ways(content[name], keys[1:])]
    return ways or _ways(content.get("init_args"), keys)
