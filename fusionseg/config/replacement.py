"""What becomes of the arguments of a part where another class takes its place.

jsonargparse lets those survive that the new class knows too. Among them are the defaults of the old class,
which it has filled in by then: AdamW's weight decay for SGD. Here only those survive that somebody gave: no
defaults of the class, and nothing that stands in the configuration of the package where none is named.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, _typehints

from fusionseg.config.errors import mapping

typehints: Any = _typehints  # which has no types itself

_discard = typehints.discard_init_args_on_class_path_change

_shipped: list[Mapping[str, Any]] = []
"""The parts of a configuration whose arguments are defaults too: their `class_path` and `init_args`."""


@contextmanager
def as_defaults(file: Path) -> Iterator[None]:
    """Within this context the arguments of parts in a configuration file do not survive these parts."""
    found = list(_parts(mapping(file)))
    _shipped.extend(found)
    try:
        yield
    finally:
        del _shipped[len(_shipped) - len(found) :]


def _parts(content: Any) -> Iterator[Mapping[str, Any]]:
    """All parts with arguments in a configuration, but for those in lists."""
    if isinstance(content, Mapping):
        if {"class_path", "init_args"} <= content.keys():
            yield content
        for inner in content.values():
            yield from _parts(inner)


def _discard_defaults(parser: Any, before: Any, after: Any) -> None:
    """Removes the arguments of a part that are defaults of its class, or that a new class does not know.

    Args:
        parser: What parses the new class.
        before: The part as it was: `class_path` and perhaps `init_args`.
        after: The part as it is given now.
    """
    if before and before.get("init_args") and before["class_path"] != after["class_path"]:
        given = before["init_args"]
        defaults = typehints.ActionTypeHint.get_class_parser(before["class_path"]).get_defaults()
        names = vars(given) if isinstance(given, Namespace) else given
        for name in list(names):
            is_default = name in defaults and given[name] == defaults[name]
            if is_default or _is_shipped(before["class_path"], name, given[name]):
                given.pop(name)
    _discard(parser, before, after)


def _is_shipped(class_path: str, name: str, value: Any) -> bool:
    """Whether an argument of a part has a value that is to be a default too."""
    return any(
        _same(class_path, part["class_path"])
        and name in part["init_args"]
        and _same(value, part["init_args"][name])
        for part in _shipped
    )


def _same(value: Any, written: Any) -> bool:
    """Whether a value is what a file says, in which names of classes are short and defaults are left out."""
    if isinstance(written, Mapping):
        known = isinstance(value, Mapping | Namespace)
        return known and all(name in value and _same(value[name], inner) for name, inner in written.items())
    if isinstance(written, str) and isinstance(value, str):
        return value == written or value.endswith(f".{written}")
    return bool(value == written or (isinstance(value, tuple) and list(value) == written))


def forget_replaced_defaults() -> None:
    """Makes jsonargparse forget the default arguments of a part that another class replaces."""
    typehints.discard_init_args_on_class_path_change = _discard_defaults
