"""Reads the messages of jsonargparse: which key is meant, what was expected and what was found."""

import inspect
import re
from collections.abc import Iterable, Mapping

from fusionseg.config.errors import UsageError, not_trusted, with_place
from fusionseg.config.type_names import choices, described, entry, names, nearest

LAYERS = (
    "Parser key",
    "Does not validate against any",
    "Call to compute_fn",
    "Problem with given class_path",
    "\n- Expected a path but",
)
"""How the messages begin that jsonargparse puts around the reason."""

UNFIT = ("Expected", "Type ", "Problem with", "Does not", "Import path", "no signature found", "'Overloaded")
"""How jsonargparse begins to say itself why a value is not of a type."""


def innermost(error: BaseException) -> BaseException:
    """The error that jsonargparse's layers are wrapped around."""
    while str(error).startswith(LAYERS) and error.__cause__ is not None:
        error = error.__cause__
    return error


def usage_error(
    message: str,
    error: BaseException | None,
    hints: Mapping[str, object],
    more: Iterable[str] = (),
    owner: str = "",
) -> UsageError:
    """An error of a parser or of one that it holds, by its key and its reason, without the values all around.

    Args:
        message: What the parser reports.
        error: What made it report that; an inner parser's `UsageError` is found in it.
        hints: The type of each key of the parser.
        more: Further keys that would have been accepted.
        owner: The class whose settings the parser takes.

    Returns:
        The error. In its key `*` is the name of an entry in a mapping where the parser does not name it.
    """
    found = re.match(r'Parser key "([^"]+)"', message)
    outer = found[1] if found else ""
    hint = hints.get(outer)
    inner = error
    while inner is not None and not isinstance(inner, UsageError):
        inner = inner.__cause__
    if inner is None:
        inner = _innermost_error(message, hint, hints, more, owner)
    reason = inner.reason
    if reason.startswith("no such setting of"):
        having = [made.__name__ for made in choices(hint) if _takes(made, inner.key)]
        reason += f"; name a class before that has it ({', '.join(having)})" if having else ""
    in_mapping = entry(hint) is not None and "<class 'dict'>" not in message
    key = ".".join(filter(None, [outer, "*" if in_mapping else "", inner.key]))
    given = re.search(r"NestedArg\(key='([^']+)'", message)
    return UsageError(reason, _without_stars(key, f"{outer}.{given[1]}") if given else key)


def _takes(made: type, name: str) -> bool:
    """Whether a class has an argument, also one that it passes on to its base class."""
    parameters = inspect.signature(made).parameters
    passes = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return name in parameters or (passes and any(_takes(base, name) for base in made.__bases__))


def _innermost_error(
    message: str, hint: object, hints: Mapping[str, object], more: Iterable[str], owner: str
) -> UsageError:
    """The error of a parser that holds no other parser's, by its key within this one."""
    if denied := re.search(r"Importing '([^']+)' is not allowed", message):
        return UsageError(not_trusted(denied[1]))
    if wrong := re.search(r"[Oo]ption '([^']+)'|unrecognized arguments: --([^\s=]+)", message):
        group = re.match(r"Group '([^']+)'", message)
        name = ".".join(filter(None, [group and group[1], wrong[1] or wrong[2]]))
        near = nearest(name, [*hints, *more])
        of = f" of {owner}" if owner and "did you mean" not in near else ""
        return UsageError(f"no such setting{of}{near}", name)
    if wrong := re.match(r"--((\S+)\.help): (.+)", message):
        return UsageError(wrong[3] + nearest("", names(hints.get(wrong[2]))), wrong[1])
    if missing := re.search(r"(?:^|\n\s*- )the following arguments are required: (.+)", message):
        return UsageError(missing[0].lstrip("\n -"))
    text = re.sub(r'^Parser key "[^"]+":\s*', "", message)
    found = re.search(
        r"but got (.*)\. Got value|(?:Given|Got) value: (.*)|dot import path string: (.*)", text
    )
    if not found:
        return UsageError(" ".join(text.split())[:300])
    value = str(found[found.lastindex or 0])
    if nested := re.match(r"NestedArg\(key='([^']+)', val='?([^']+?)'?\)", value):
        if hint is not None and entry(hint) is None and not choices(hint):
            return UsageError(f"no such setting, as the key before it takes {described(hint)}", nested[1])
        return UsageError(_unfit(None, nested[2], text), nested[1])
    return UsageError(_unfit(entry(hint) or hint, value, text))


def _unfit(hint: object, value: str, message: str) -> str:
    """Why a value does not fit its type, and why a class that it names cannot be imported."""
    if path := re.match(r"Namespace\(class_path='([^']+)'", value):
        value = path[1]
    value = "null" if value == "None" else value[:100] or "an empty text"
    reason = f"expected {described(hint) if hint else 'another value'}, found {value}"
    cannot = re.search(
        r"given class_path '.+':\s+(.+)|callable class: (?!Expected|'Overloaded)(.+?)(?:, but|\. Got|$)",
        message,
        re.M,
    )
    if cannot is None and "." in value:  # what importing its module raised
        cannot = re.search(rf"^ +- (?!{'|'.join(UNFIT)})(.+)()$", message, re.M)
    if cannot is None:
        return reason + nearest(value, names(hint))
    return f"{reason} ({with_place(cannot[1] or cannot[2])})"


def _without_stars(key: str, given: str) -> str:
    """The key with the names that a given one has for its stars, as far as the two agree."""
    pieces = key.split(".")
    names = [name.rstrip("+") for name in given.split(".") if name != "init_args"]
    for i, (piece, name) in enumerate(zip(pieces, names, strict=False)):
        if piece not in ("*", name):
            break
        pieces[i] = name
    return ".".join(pieces)
