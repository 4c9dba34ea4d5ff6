"""Types in words, what can be named where a type is wanted, and the nearest name."""

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

PLAIN = {
    type(None): "null",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    Any: "anything",
}
"""Types by their names in messages."""


def described(hint: object) -> str:
    """What a type accepts, in words; a class by its name, a callable by what it returns.

    >>> from pathlib import Path
    >>> described(int | None), described(Literal["train", "val"]), described(Callable[[int], Path])
    ('an integer or null', 'train or val', 'a Path')
    """
    origin = get_origin(hint)
    if origin is Literal:
        return " or ".join(map(str, get_args(hint)))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(described, get_args(hint))))
    if origin is Callable:
        return described(get_args(hint)[-1])
    if (inner := entry(hint)) is not None:
        return f"names with {described(inner)} each"
    made = origin or hint
    if made in PLAIN:
        return PLAIN[made]
    if made in (list, tuple):
        return "a list"
    name = getattr(made, "__name__", str(made))
    return f"a{'n' * (name[0] in 'AEIOU')} {name}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what was meant, or at all there is if that is little."""
    among = [k for k in dict.fromkeys(known) if not k.startswith("_") and k not in ("help", "print_config")]
    leaf = name.rsplit(".", 1)[-1].lower()
    lower = {k.lower(): k for k in reversed(among)}
    near = [k for k in among if k.rsplit(".", 1)[-1].lower() == leaf]
    near += [lower[k] for k in difflib.get_close_matches(name.lower(), lower, 1)]
    if near and "," not in name:  # which would be several
        return f"; did you mean {near[0]}?"
    return f"; expected one of {', '.join(among)}" if 0 < len(among) <= 40 else ""


def choices(hint: object) -> list[type]:
    """The concrete classes that can be named where a type is wanted; none for Python's own types.

    Those that a function makes have no name.
    """
    if get_origin(hint) is Callable:
        return choices(get_args(hint)[-1])
    if inspect.isclass(made := get_origin(hint) or hint):
        if made.__module__ in ("builtins", "pathlib", "torch", "types"):
            return [c for part in get_args(hint) for c in choices(part)]
        below = [inner for c in type.__subclasses__(made) for inner in choices(c)]
        nameless = inspect.isabstract(made) or "<locals>" in made.__qualname__
        return below if nameless else [made, *below]
    return [c for part in get_args(hint) for c in choices(part)]


def names(hint: object) -> list[str]:
    """The names of the classes that can be named where a type is wanted, sorted."""
    return sorted(made.__name__ for made in choices(hint))


def entry(hint: object) -> Any:
    """The type of the entries of a mapping; None for other types."""
    for part in (hint, *(get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ())):
        if get_origin(part) in (dict, Mapping):
            return get_args(part)[1]
    return None
