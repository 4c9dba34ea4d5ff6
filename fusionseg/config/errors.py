"""Turns a parser's errors into one-line messages: key, what was expected and found, nearest name."""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from fusionseg.config.type_names import choices, described, entry, names, nearest

LAYERS = ("Parser key", "Does not validate against any", "Call to compute_fn", "\n- Expected a path but")
"""How the messages begin that jsonargparse puts around the reason."""

NO_CLASS_PATH = "Dict must include a class_path"
"""How jsonargparse begins where settings stand without the class that they are settings of."""


class UserError(ValueError):
    """What the user can mend: the message says all, so that the command line shows it without a traceback."""


@contextmanager
def mendable(*more: type[Exception]) -> Iterator[None]:
    """Turns ValueErrors, and errors of further types, into UserErrors: for parsing, and for building parts.

    >>> with mendable(ZeroDivisionError):
    ...     1 / 0
    Traceback (most recent call last):
    fusionseg.config.errors.UserError: division by zero
    """
    kinds: tuple[type[Exception], ...] = (ValueError, *more)
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        raise UserError(str(error)) from error


@contextmanager
def unmendable() -> Iterator[None]:
    """Turns errors of a part's own code into RuntimeErrors, which keep their traceback: for its first use.

    Errors that are the user's to mend, and those of the system, stay as they are.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


class UsageError(UserError):
    """A command line or configuration that cannot be used.

    Args:
        reason: What was expected, what was found, what to do.
        key: The setting that it is about, with dots.
    """

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.reason = reason
        self.key = key


def not_trusted(path: str) -> str:
    """The message where settings of somebody else name something that is of no trusted package."""
    package = path.split(".")[0]
    if package in sys.stdlib_module_names:
        return f"expected a class that is part of a run, found {path}"
    return (
        f"{path} is of a package that is not trusted, and a run or checkpoint may be anybody's: add "
        f"--trust {package} to run its code"
    )


def innermost(error: BaseException) -> BaseException:
    """The error that jsonargparse's layers are wrapped around."""
    while str(error).startswith(LAYERS) and error.__cause__ is not None:
        error = error.__cause__
    return error


def usage_error(
    message: str,
    error: BaseException | None,
    hints: Mapping[str, object],
    more: Iterable[str] = (),
    owner: str = "",
) -> UsageError:
    """An error of a parser or of one that it holds, by its key and its reason, without the values all around.

    Args:
        message: What the parser reports.
        error: What made it report that; an inner parser's `UsageError` is found in it.
        hints: The type of each key of the parser.
        more: Further keys that would have been accepted.
        owner: The class whose settings the parser takes.

    Returns:
        The error. In its key `*` is the name of an entry in a mapping where the parser does not name it.
    """
    found = re.match(r'Parser key "([^"]+)"', message)
    outer = found[1] if found else ""
    hint = hints.get(outer)
    inner = error
    while inner is not None and not isinstance(inner, UsageError):
        inner = inner.__cause__
    if inner is None:
        inner = _innermost_error(message, hint, hints, more, owner)
    reason = inner.reason
    if reason.startswith("no such setting of"):
        having = [made.__name__ for made in choices(hint) if _takes(made, inner.key)]
        reason += f"; name a class before that has it ({', '.join(having)})" if having else ""
    in_mapping = entry(hint) is not None and "<class 'dict'>" not in message
    key = ".".join(filter(None, [outer, "*" if in_mapping else "", inner.key]))
    given = re.search(r"NestedArg\(key='([^']+)'", message)
    return UsageError(reason, _without_stars(key, f"{outer}.{given[1]}") if given else key)


def _takes(made: type, name: str) -> bool:
    """Whether a class has an argument, also one that it passes on to its base class."""
    parameters = inspect.signature(made).parameters
    passes = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return name in parameters or (passes and any(_takes(base, name) for base in made.__bases__))


def _innermost_error(
    message: str, hint: object, hints: Mapping[str, object], more: Iterable[str], owner: str
) -> UsageError:
    """The error of a parser that holds no other parser's, by its key within this one."""
    if denied := re.search(r"Importing '([^']+)' is not allowed", message):
        return UsageError(not_trusted(denied[1]))
    if wrong := re.search(r"[Oo]ption '([^']+)'|unrecognized arguments: --([^\s=]+)", message):
        group = re.match(r"Group '([^']+)'", message)
        name = ".".join(filter(None, [group and group[1], wrong[1] or wrong[2]]))
        near = nearest(name, [*hints, *more])
        of = f" of {owner}" if owner and "did you mean" not in near else ""
        return UsageError(f"no such setting{of}{near}", name)
    if wrong := re.match(r"--((\S+)\.help): (.+)", message):
        return UsageError(wrong[3] + nearest("", names(hints.get(wrong[2]))), wrong[1])
    text = re.sub(r'^Parser key "[^"]+":\s*', "", message)
    found = re.search(
        r"but got (.*)\. Got value|(?:Given|Got) value: (.*)|dot import path string: (.*)", text
    )
    if not found:
        return UsageError(" ".join(text.split())[:300])
    return UsageError(_unfit(entry(hint) or hint, str(found[found.lastindex or 0]), text))


def _unfit(hint: object, value: str, message: str) -> str:
    """Why a value does not fit its type, and why a class that it names cannot be imported."""
    if path := re.match(r"Namespace\(class_path='([^']+)'\)", value):
        value = path[1]
    value = "null" if value == "None" else value[:100] or "an empty text"
    reason = f"expected {described(hint)}, found {value}"
    cannot = re.search(
        r"given class_path '.+':\s+(.+)|callable class: (?!Expected)(.+?)(?:, but|\. Got|$)", message, re.M
    )
    return f"{reason} ({cannot[1] or cannot[2]})" if cannot else reason + nearest(value, names(hint))


def _without_stars(key: str, given: str) -> str:
    """The key with the names that a given one has for its stars, as far as the two agree."""
    pieces = key.split(".")
    names = [name.rstrip("+") for name in given.split(".") if name != "init_args"]
    for i, (piece, name) in enumerate(zip(pieces, names, strict=False)):
        if piece not in ("*", name):
            break
        pieces[i] = name
    return ".".join(pieces)


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
    contents = {path: mapping(path) for path in files}
    bare = error.key.removesuffix(".*")
    for key in (error.key, bare):
        for path, content in contents.items():
            if ways := _ways(content, key.split(".")):
                return UsageError(
                    f"{error.reason} (in {path})", ".".join(ways[0]) if len(ways) == 1 else bare
                )
    *above, name = bare.split(".")
    if NO_CLASS_PATH in error.reason:
        beside = [way[-1] for content in contents.values() for way in _ways(content, [*above, "*"])]
        return UsageError(error.reason + nearest(name, beside), bare)
    return UsageError(error.reason, bare)


def _ways(content: Any, keys: list[str]) -> list[list[str]]:
    """The keys in nested mappings that a key may mean, with any name for `*`; `init_args` is skipped."""
    if not keys or not isinstance(content, dict):
        return [] if keys else [[]]
    names = content if keys[0] == "*" else [name for name in keys[:1] if name in content]
    ways = [[str(name), *way] for name in names for way in _ways(content[name], keys[1:])]
    return ways or _ways(content.get("init_args"), keys)
