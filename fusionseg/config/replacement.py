"""What becomes of the arguments of a part where another class takes its place.

jsonargparse lets those survive that the new class knows too. Among them are the defaults of the old class,
which it has filled in by then: AdamW's weight decay for SGD. Here only those survive that are no defaults.
"""

from typing import Any

from jsonargparse import Namespace, _typehints

typehints: Any = _typehints  # which has no types itself

_discard = typehints.discard_init_args_on_class_path_change


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
        for name in [name for name in names if name in defaults and given[name] == defaults[name]]:
            given.pop(name)
    _discard(parser, before, after)


def forget_replaced_defaults() -> None:
    """Makes jsonargparse forget the default arguments of a part that another class replaces."""
    typehints.discard_init_args_on_class_path_change = _discard_defaults
