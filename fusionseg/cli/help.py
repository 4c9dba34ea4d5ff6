"""The text of `--help`: a command's arguments with their meaning, from signatures and docstrings."""

import inspect
import json
import re
import textwrap
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fusionseg.config.type_names import described

WIDTH = 100
COLUMN = 33
"""Where the meaning of a setting begins."""


def options_manual(usage: str, about: str, options: type) -> str:
    """The help of a command with few arguments.

    Args:
        usage: The command and how its arguments are given.
        about: What it does.
        options: Its arguments, as a dataclass.
    """
    lines = [f"usage: python -m {usage}", "", *wrapped(about), "", "Arguments:"]
    for name, text in settings(options).items():
        lines += columns(name, text)
    return "\n".join([*lines, ""])


def settings(part: Any, prefix: str = "", skip: tuple[str, ...] = ()) -> dict[str, str]:
    """What is shown of the arguments of a class: the first sentence of their documentation, type and default.

    Args:
        part: The class, documented in Google's style.
        prefix: What stands before an argument's name; with one the sentence ends at its semicolon.
        skip: Arguments that are left out.
    """
    hints = get_type_hints(part.__init__)
    section = re.search(r"^Args:\n((?: {4}.*\n?)+)", inspect.getdoc(part) or "", re.MULTILINE)
    documented = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section[1] if section else "", re.MULTILINE)
    meanings = {name: " ".join(text.split()) for name, text in documented}
    shown = {}
    for name, parameter in inspect.signature(part).parameters.items():
        if name not in skip and parameter.kind is not parameter.VAR_KEYWORD:
            meaning = re.split(r"\. |; " if prefix else r"\. ", meanings.get(name, ""))[0].rstrip(".")
            shown[f"--{prefix}{name}"] = f"{meaning} ({_type(hints[name], parameter.default)})".strip()
    return shown


def _type(hint: Any, default: Any) -> str:
    """The default of an argument, and its type where the default does not show it."""
    if default is inspect.Parameter.empty:
        return f"{described(hint)}; required"
    if default is None:
        return described(hint).removesuffix(" or null")
    kinds = f"{described(hint)}; " if get_origin(hint) is Literal else ""
    null = ", or null" if type(None) in get_args(hint) else ""
    return f"{kinds}default {_shown(default)}{null}"


def _shown(value: Any) -> str:
    """A default as YAML has it; a class by its name, a default that is made anew each time as empty."""
    return value.__name__ if inspect.isclass(value) else json.dumps(value, default=lambda _: {}).strip('"')


def columns(name: str, text: str, column: int = COLUMN) -> list[str]:
    """A name and what it means, in two columns."""
    first = f"  {name} ".ljust(column)
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * column, break_on_hyphens=False
    )


def wrapped(text: str) -> list[str]:
    """A paragraph."""
    return textwrap.wrap(" ".join(text.split()), WIDTH)
