"""Reads single entries of a study file, each with an error that names its key."""

from collections.abc import Mapping, Sequence
from typing import Any

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest


def a_mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Keys and values; empty where the entry is missing.

    Raises:
        UsageError: If it is something else.
    """
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise UsageError(f"expected keys and values, found {type(value).__name__}", key)
    return value


def a_list(content: Mapping[str, Any], key: str) -> list[Any]:
    """A list; empty where the entry is missing.

    Raises:
        UsageError: If it is something else.
    """
    value = content.get(key) or []
    if not isinstance(value, list):
        raise UsageError(f"expected a list, found {type(value).__name__}", key)
    return value


def one_of(content: Mapping[str, Any], key: str, choices: Sequence[str]) -> str:
    """One of several words, the first where the entry is missing.

    Raises:
        UsageError: If it is something else.
    """
    value = content.get(key, choices[0])
    if value not in choices:
        raise UsageError(f"expected {' or '.join(choices)}, found {value!r}", key)
    return str(value)


def a_number(content: Mapping[str, Any], key: str, default: int) -> int:
    """A whole number of 0 or more.

    Raises:
        UsageError: If it is something else.
    """
    value = content.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"expected a number of 0 or more, found {value!r}", key)
    return value


def a_name(value: Any, key: str, names: Sequence[str]) -> str | None:
    """One of the variants' names, or None.

    Raises:
        UsageError: If there is no such variant.
    """
    if value is not None and value not in names:
        raise UsageError(f"expected one of the variants{nearest(str(value), names)}", key)
    return value if value is None else str(value)
