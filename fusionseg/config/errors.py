"""What a user can mend, in one line: the errors, and where in configuration files they are."""

import functools
import re
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import yaml

from fusionseg.config.type_names import nearest

P = ParamSpec("P")
R = TypeVar("R")

NO_CLASS_PATH = "Dict must include a class_path"
"""How jsonargparse begins where settings stand without the class that they are settings of."""

IN_WORKER = r"Caught (\w+) in DataLoader worker process"
"""How torch begins the message of an error that was raised in another process."""


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


def unstopped(function: Callable[P, R]) -> Callable[P, R]:
    """Lets a function raise a RuntimeError in place of StopIteration.

    A loop takes that for its own end: of an epoch, or of the images to score, of which the rest is left out.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            raise RuntimeError(f"{function.__qualname__} raised StopIteration") from error

    return call


def in_own_code(error: BaseException) -> bool:
    """Whether an error comes from code of the user's own: in its traceback, below the frame that caught it.

    That is what lies in no library, neither installed nor Python's own, and not in this package. Of an error
    in a process that prepares batches the traceback is in its message.
    """
    known = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    known |= {*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parents[1])}
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    if re.match(IN_WORKER, str(error)):
        files += re.findall(r'^ *File "([^"]+)", line', str(error), re.MULTILINE)
    return any(not file.startswith(("<", *known)) for file in files)


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


def with_place(reason: str) -> str:
    """A reason with what to do where a module of the user's own is not found.

    >>> with_place("No module named 'mine'")
    "No module named 'mine': start this in the folder that holds it, or add that folder to PYTHONPATH"
    """
    if not re.search(r"No module named '[^'.]+'$", reason):
        return reason
    return f"{reason}: start this in the folder that holds it, or add that folder to PYTHONPATH"


class _Loader(yaml.SafeLoader):
    """Refuses a mapping with a key twice, of which YAML's readers silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node.

        Raises:
            yaml.MarkedYAMLError: If a key occurs twice.
        """
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"expected every key once, found {key.value!r} twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def mapping(path: Path) -> dict[str, Any]:
    """What a configuration file holds.

    Raises:
        UsageError: If there is no such file, or it is no YAML, or no mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
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
