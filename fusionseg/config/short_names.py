"""Which class a short name means where libraries have several of that name, which jsonargparse refuses.

Lightning's `ReduceLROnPlateau` is torch's with the figure that it follows as an argument, `monitor`.
"""

from typing import Any

from jsonargparse import _typehints

typehints: Any = _typehints  # which has no types itself

MEANT = {"ReduceLROnPlateau": "lightning.pytorch.cli.ReduceLROnPlateau"}
"""The path of the class that a name means."""

_resolve = typehints.resolve_class_path_by_name


def _resolved(cls: Any, name: str) -> str:
    """The path of a class by its short name or path, as jsonargparse finds it below a base class."""
    path: str = _resolve(cls, MEANT.get(name, name))
    return path


def settle_short_names() -> None:
    """Makes jsonargparse take names in `MEANT` for what they mean here."""
    typehints.resolve_class_path_by_name = _resolved
