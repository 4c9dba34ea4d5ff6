"""What a run folder or checkpoint of somebody else may name: classes of a few packages, and no other code."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, get_args, get_origin, get_type_hints

from fusionseg.config.errors import UsageError, not_trusted, with_place

PACKAGES = ("fusionseg", "torch", "torchvision", "segmentation_models_pytorch", "lightning", "torchjd")
"""The packages whose classes any file may name."""

_trusted: ContextVar[frozenset[str] | None] = ContextVar("trusted", default=None)
"""The packages that the user trusts beside `PACKAGES`; None where every package is."""


@contextmanager
def untrusted(trust: Iterable[str] = ()) -> Iterator[None]:
    """A context in which settings are somebody else's: what they name is imported only if it is trusted.

    Args:
        trust: The arguments of `--trust`: packages beside `PACKAGES`, several with commas between.
    """
    from jsonargparse import set_parsing_settings
    from jsonargparse._common import parsing_settings

    more = frozenset(name.split(".")[0].strip() for names in trust for name in names.split(",")) - {""}
    before = dict(parsing_settings)
    token = _trusted.set(more)
    try:
        set_parsing_settings(
            import_path_denylist=["*"],
            import_path_allowlist=[*PACKAGES, *more],
            instantiate_subclass_spec_in_any=False,
        )
        yield
    finally:
        _trusted.reset(token)
        parsing_settings.update(before)


def imported(path: str) -> Any:
    """What a dotted path names; it is imported only if it may be.

    Raises:
        UsageError: If it is not of a trusted package.
        ImportError, AttributeError, ValueError: If there is no such thing.
    """
    module, _, name = path.rpartition(".")
    if not _is_trusted(path):
        raise UsageError(not_trusted(path))
    found = getattr(importlib.import_module(module), name)
    defined = str(getattr(found, "__module__", None) or path)
    if not _is_trusted(defined):
        raise UsageError(not_trusted(f"{defined}.{name}"))
    return found


def check_named(hint: object, value: object, key: str = "", default: object = None) -> None:
    """Checks that settings of somebody else name only classes that are wanted where they stand.

    Functions are wanted nowhere, except for those of a package that the user trusts and the default.

    Args:
        hint: What may stand there: a type, or a callable that gives one.
        value: The setting: plain, or as a parser gives it.
        key: Its key, with dots.
        default: What stands there if nothing is set.

    Raises:
        UsageError: If they name something else.
    """
    if _trusted.get() is None or value is default:
        return
    if isinstance(value, Mapping):
        _check_mapping(hint, value, key, default)
    elif isinstance(value, list | tuple):
        for part in value:
            check_named(hint, part, key)
    elif callable(value) and not inspect.isclass(value):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        _check_class(f"{value.__module__}.{name}", hint, key, default)
    elif isinstance(value, str) and "." in value and _is_path(value, hint):
        _check_class(value, hint, key, default)


def _is_path(text: str, hint: object) -> bool:
    """Whether a parser may take a text with dots for the path of something to import."""
    kinds = _leaves(hint)
    if hint is None:
        return _is_trusted(text)
    return Callable in kinds or (str not in kinds and bool(_bases(hint)))


def _check_mapping(hint: object, value: Mapping[str, Any], key: str, default: object) -> None:
    path = value.get("class_path")
    if path is None:
        fields = {name: part for kind in _bases(hint) for name, part in _arguments(kind).items()}
        for name, part in value.items():
            inner, standard = fields.get(name, (hint, None))
            check_named(inner, part, f"{key}.{name}".lstrip("."), standard)
        return
    arguments = _arguments(_check_class(str(path), hint, key, default))
    for settings in (value.get("init_args"), value.get("dict_kwargs")):
        for name, part in (settings or {}).items():
            inner, standard = arguments.get(name, (None, None))
            check_named(inner, part, f"{key}.{name}".lstrip("."), standard)


def _check_class(path: str, hint: object, key: str, default: object) -> Any:
    """The class that a path names, if it may stand where the hint does."""
    try:
        found = imported(path)
    except UsageError as error:
        raise UsageError(error.reason, key) from error
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"expected a class, found {path} ({with_place(str(error))})", key) from error
    own = str(getattr(found, "__module__", "")).split(".")[0] in (_trusted.get() or ())
    if found is default or (own and inspect.isroutine(found)):
        return found
    bases = _bases(hint)
    if not inspect.isclass(found) or not any(issubclass(found, base) for base in bases):
        wanted = " or ".join(base.__name__ for base in bases) or "a plain value"
        raise UsageError(f"expected {wanted}, found {path}: a run or checkpoint calls nothing else", key)
    return found


def _is_trusted(path: str) -> bool:
    trusted = _trusted.get()
    return trusted is None or path.split(".")[0] in {*PACKAGES, *trusted}


def _leaves(hint: object) -> list[Any]:
    """The types that a hint is made of; `Callable` is one, and what it gives is another."""
    if isinstance(hint, list) or hint is None:
        return []
    if get_origin(hint) is Callable or hint is Callable:
        return [Callable, *_leaves(get_args(hint)[-1] if get_args(hint) else None)]
    if get_args(hint):
        return [leaf for part in get_args(hint) for leaf in _leaves(part)]
    return [hint]


def _bases(hint: object) -> list[type]:
    """The classes of which a hint wants an object, without those of Python itself, devices and tensors."""
    return [kind for kind in _leaves(hint) if inspect.isclass(kind) and not _is_plain(kind)]


def _is_plain(kind: type) -> bool:
    return kind.__module__ == "torch" or kind.__module__.split(".")[0] in sys.stdlib_module_names


def _arguments(made: Any) -> dict[str, tuple[object, object]]:
    """The type and the default of each argument of a class, those that it hands on to its bases too."""
    arguments: dict[str, tuple[object, object]] = {}
    for kind in reversed(inspect.getmro(made) if inspect.isclass(made) else ()):
        try:
            hints = get_type_hints(inspect.getattr_static(kind, "__init__"))
            defaults = inspect.signature(kind).parameters
        except (NameError, TypeError, ValueError, AttributeError):
            continue  # of another project, which hides its imports from us
        arguments |= {n: (h, defaults[n].default if n in defaults else None) for n, h in hints.items()}
    return arguments
