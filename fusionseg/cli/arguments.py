"""The arguments of a command line before they are parsed: values of a flag, Python texts, implied classes."""

import ast
import math
import re
from collections.abc import Collection, Sequence
from itertools import pairwise

import yaml


def values(args: Sequence[str], flag: str) -> list[str]:
    """What follows a flag on a command line, each time that it is given.

    >>> values(["--run", "a", "--split=val", "--run=b"], "--run")
    ['a', 'b']
    """
    after = [value for word, value in pairwise(args) if word == flag]
    return after + [word.removeprefix(f"{flag}=") for word in args if word.startswith(f"{flag}=")]


def as_yaml(word: str) -> str:
    """An argument with YAML in place of Python: null for None, also in lists and mappings.

    >>> as_yaml("--model.region_head=None"), as_yaml("--sizes=[None, {'a': True}]"), as_yaml("--size=(1, 2)")
    ('--model.region_head=null', '--sizes=[null, {a: true}]', '--size=[1, 2]')
    """
    flag, equals, value = word.partition("=")
    is_python = value[:1] == "(" or (value[:1] in ("[", "{") and re.search(r"\b(None|True|False)\b", value))
    if value != "None" and not is_python:
        return word
    try:
        plain = ast.literal_eval(value)
    except (ValueError, SyntaxError):  # it is YAML already
        return word
    plain = list(plain) if isinstance(plain, tuple) else plain
    text = yaml.safe_dump(plain, default_flow_style=True, width=math.inf, sort_keys=False)
    return flag + equals + text.removesuffix("\n").removesuffix("\n...")


def with_head_classes(args: Sequence[str]) -> list[str]:
    """The arguments with the class of each further head before its settings, where they do not name it.

    >>> with_head_classes(["--model.extra_heads.depth.weight", "0.5"])
    ['--model.extra_heads.depth=ExtraHead', '--model.extra_heads.depth.weight', '0.5']
    """
    complete: list[str] = []
    for word in args:
        found = re.match(r"(--model\.extra_heads\.[^.=]+)\.(?!help\b)", word)
        if found and not any(known.split("=")[0] == found[1] for known in complete):
            complete.append(f"{found[1]}=ExtraHead")
        complete.append(word)
    return complete


def with_switches(args: Sequence[str], switches: Collection[str]) -> list[str]:
    """The arguments with flags as Python names, and `true` after switches that stand alone.

    >>> with_switches(["--dry-run", "--per-run=2", "--final", "false"], ("dry_run", "final"))
    ['--dry_run=true', '--per_run=2', '--final', 'false']
    """
    renamed = []
    for word in args:
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        renamed.append(f"--{name}{equals}{value}" if name else word)
    return switched(renamed, switches)


def switched(args: Sequence[str], switches: Collection[str]) -> list[str]:
    """The arguments with `true` after switches that stand alone.

    >>> switched(["--untuned", "--trained", "false", "--data.my-set=1"], ("trained", "untuned"))
    ['--untuned=true', '--trained', 'false', '--data.my-set=1']
    """
    flags = {f"--{name}" for name in switches}
    return [
        f"{word}=true" if word in flags and after.lower() not in ("true", "false") else word
        for word, after in pairwise([*args, ""])
    ]
