"""The outputs of heads as named tensors, which is what a file of another framework has, and back."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.config.recipe import import_path
from fusionseg.config.trust import imported
from fusionseg.heads.base import Output

Structure: TypeAlias = Any
"""Where each tensor of an output is, as JSON holds it: its name, null, or the type and the parts."""

_SEQUENCES: Mapping[str, Callable[[Mapping[str, Output]], Output]] = {
    "list": lambda parts: list(parts.values()),
    "tuple": lambda parts: tuple(parts.values()),
    "dict": dict,
}


class Named(NamedTuple):
    """An output in parts.

    Args:
        tensors: Its tensors by name.
        structure: Where they are in it.
    """

    tensors: dict[str, Tensor]
    structure: Structure


def named(name: str, output: Output) -> Named:
    """The tensors of an output: of the name itself, or with the names or numbers of its parts behind dots.

    >>> import torch
    >>> named("region", [torch.zeros(1), {"mask": torch.zeros(2)}]).tensors.keys()
    dict_keys(['region.0', 'region.1.mask'])

    Args:
        name: The name, such as that of a task.
        output: A tensor, None, or a list, tuple, named tuple or mapping of outputs.

    Raises:
        UserError: If it holds something else.
    """
    if output is None:
        return Named({}, None)
    if isinstance(output, Tensor):
        return Named({name: output}, name)
    kind, parts = _parts(name, output)
    inner = {key: named(f"{name}.{key}", part) for key, part in parts.items()}
    tensors = {place: tensor for part in inner.values() for place, tensor in part.tensors.items()}
    return Named(tensors, {"type": kind, "parts": {key: part.structure for key, part in inner.items()}})


def names(structure: Structure) -> list[str]:
    """The names of the tensors."""
    if structure is None:
        return []
    if isinstance(structure, str):
        return [structure]
    return [name for part in structure["parts"].values() for name in names(part)]


def rebuilding(structure: Structure) -> Callable[[Mapping[str, Tensor]], Output]:
    """A function that makes an output of its tensors by name, the inverse of `named`.

    Args:
        structure: Somebody else's: a named tuple's class is imported only as `config.trust` allows.

    Raises:
        UserError: If it names something else than a type of outputs, or a package that is not trusted.
        ImportError, AttributeError, ValueError: If there is no such class.
    """
    if structure is None:
        return lambda tensors: None
    if isinstance(structure, str):
        return lambda tensors: tensors[structure]
    made = _SEQUENCES.get(structure["type"]) or _named_tuple(structure["type"])
    parts = {key: rebuilding(part) for key, part in structure["parts"].items()}
    return lambda tensors: made({key: part(tensors) for key, part in parts.items()})


def _parts(name: str, output: Output) -> tuple[str, dict[str, Output]]:
    """The type of an output that is no tensor, and its parts."""
    if isinstance(output, tuple) and hasattr(output, "_asdict"):
        return import_path(type(output)), output._asdict()
    if isinstance(output, list | tuple):
        kind = "list" if isinstance(output, list) else "tuple"
        return kind, {str(number): part for number, part in enumerate(output)}
    if isinstance(output, dict):
        return "dict", {str(key): part for key, part in output.items()}
    raise UserError(
        f"expected tensors, or lists, tuples, named tuples and mappings of them, as the output {name}, found "
        f"{type(output).__name__}"
    )


def _named_tuple(path: str) -> Callable[[Mapping[str, Output]], Output]:
    """Makes a named tuple of its parts."""
    kind = imported(path)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_asdict")):
        raise UserError(f"expected the class of a named tuple, found {path}")
    return lambda parts: kind(**parts)
