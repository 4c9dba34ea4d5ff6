"""The entry point of every command: finds it by the name of its file, runs it and turns errors into one line.

Nothing heavy is imported here, so that `fusionseg --help` is quick and Ctrl-C is one word from the first
second on.
"""

import ast
import importlib
import os
import re
import sys
import traceback
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import fusionseg.commands
from fusionseg.config.errors import IN_WORKER, UsageError, UserError, in_own_code
from fusionseg.config.imports import uncollected
from fusionseg.config.remedies import is_out_of_memory, remedied
from fusionseg.config.type_names import nearest

USAGE = "usage: fusionseg COMMAND [ARGUMENTS], or python -m fusionseg COMMAND [ARGUMENTS]"
MORE = "Each command has its own --help."


def main() -> NoReturn:
    """Runs the command that the first argument names, with the arguments that follow it."""
    name, *args = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
        sys.exit(0 if sys.argv[1:] else 2)
    run(name, args)


def run(name: str, args: Sequence[str] | None = None) -> NoReturn:
    """Imports a command, runs it and exits as `guarded` says.

    Args:
        name: Name of the command's file in `fusionseg.commands`.
        args: Its arguments; those of this process if left out.
    """

    def command(args: Sequence[str]) -> None:
        if name not in commands():
            raise UsageError(f"no command {name!r}{nearest(name, commands())}")
        with uncollected():
            module = importlib.import_module(f"fusionseg.commands.{name}")
        module.main(args)

    guarded(command, sys.argv[1:] if args is None else args)


def guarded(command: Callable[[Sequence[str]], None], args: Sequence[str]) -> NoReturn:
    """Runs a function with its arguments and exits.

    The exit code is 0 after success, 2 after what the user can mend, which is one message without a traceback
    (with `FUSIONSEG_DEBUG=1` the traceback comes too), 1 after any other error, which has its traceback, and
    130 after Ctrl-C, also while modules are imported.
    """
    try:
        command(args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        known = _mendable(error)
        if not _is_mistake(known):
            raise
        if os.environ.get("FUSIONSEG_DEBUG"):
            traceback.print_exc()
        print(f"error: {message_of(known)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


def commands() -> dict[str, Path]:
    """The file of each command, by the command's name."""
    folder = Path(fusionseg.commands.__path__[0])
    return {path.stem: path for path in sorted(folder.glob("[a-z]*.py"))}


def overview() -> str:
    """The commands, a line each."""
    return "\n".join([USAGE, "", "commands:", *summaries(commands()), "", MORE])


def summaries(modules: Mapping[str, Path]) -> list[str]:
    """Names with the first line of the documentation of their files, which are read and not imported."""
    docs = {
        name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for name, path in modules.items()
    }
    return [f"  {name:10} {(doc or '').splitlines()[0]}" for name, doc in docs.items()]


def message_of(error: BaseException) -> str:
    """The message of an error as it was raised, without the traceback that a worker wraps around it."""
    text = str(error)
    if not (wrapped := re.match(IN_WORKER, text)):
        return text
    return re.split(rf"^(?:\w+\.)*{wrapped[1]}: ", text, flags=re.MULTILINE)[-1].strip()


def _mendable(error: Exception) -> Exception:
    """The error with the setting that mends it, in one line, if there is one; else the error itself.

    What is raised in code of the user's own may be a mistake there, so that it gets the setting as a note
    only, unless there is too little memory.
    """
    remedy = remedied(error)
    if remedy and in_own_code(error) and not is_out_of_memory(error):
        error.add_note(f"(if the code above is right: {remedy})")
        return error
    return remedy or error


def _is_mistake(error: Exception) -> bool:
    """Whether the user can mend what an error is about: a `UserError`, or a path that the system refuses.

    Code of the user's own turns what its users can mend into a `UserError`; an `OSError` there is a bug.
    """
    if isinstance(error, OSError):
        # without a number the message is a sentence
        return (error.filename is not None or error.errno is None) and not in_own_code(error)
    return isinstance(error, UserError | ArgumentError)
