"""The variants of a grid: every combination of the values of its axes."""

import ast
import itertools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fusionseg.config.errors import UsageError

OPERATIONS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Variant:
    """A variant of a study.

    Attributes:
        name: Its name, which is that of its folder too.
        settings: What it sets, by keys with dots.
        point: Its values on the axes, by the axes' names; empty beside a grid.
    """

    name: str
    settings: Mapping[str, Any]
    point: Mapping[str, Any] = field(default_factory=dict)


def crossed(axes: Mapping[str, Any], formulas: Mapping[str, Any]) -> list[Variant]:
    """The variants of a grid.

    Args:
        axes: The values of each axis. An axis is a setting such as `model.beta`, or a factor without a dot in
            its name, which formulas turn into settings. Values may be named: `{low: 0.1, high: 1.0}`.
        formulas: Settings that are computed from factors, such as `model.alpha: scale * ratio`.

    Raises:
        UsageError: If an axis has no values or one twice, or a formula cannot be computed.

    >>> crossed({"ratio": [0.5, 2]}, {"model.beta": "1 / ratio"})[0]
    Variant(name='ratio=0.5', settings={'model.beta': 2.0}, point={'ratio': 0.5})
    """
    named = {str(axis): _values(str(axis), values) for axis, values in axes.items()}
    for axis in named:
        if "." not in axis and not any(axis in _names(formula, key) for key, formula in formulas.items()):
            raise UsageError(
                "expected a setting such as model.beta, or a factor that `formulas` use", f"axes.{axis}"
            )
    variants = []
    for chosen in itertools.product(*(values.items() for values in named.values())):
        labels = dict(zip(named, (label for label, _ in chosen), strict=True))
        point = dict(zip(named, (value for _, value in chosen), strict=True))
        settings = {axis: value for axis, value in point.items() if "." in axis}
        settings |= {key: computed(formula, point, key) for key, formula in formulas.items()}
        name = ",".join(f"{axis.split('.')[-1]}={label}" for axis, label in labels.items())
        shown = {axis: labels[axis] if isinstance(v, dict | list) else v for axis, v in point.items()}
        variants.append(Variant(name, settings, shown))
    return variants


def computed(formula: object, factors: Mapping[str, Any], key: str = "") -> float:
    """The value of a formula of numbers, factors, `+ - * / **` and parentheses; nothing else is evaluated.

    Raises:
        UsageError: If it is no such formula.

    >>> computed("scale / (1 + ratio)", {"scale": 2.0, "ratio": 0.25})
    1.6
    """

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return node.value
        if isinstance(node, ast.Name) and isinstance(factors.get(node.id), int | float):
            return float(factors[node.id])
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            return OPERATIONS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        raise UsageError(f"expected a formula of numbers and factors, found {formula!r}", f"formulas.{key}")

    try:
        return value(ast.parse(str(formula), mode="eval").body)
    except (SyntaxError, ArithmeticError) as error:
        raise UsageError(f"cannot compute {formula!r}: {error}", f"formulas.{key}") from error


def _names(formula: object, key: str) -> set[str]:
    try:
        return {node.id for node in ast.walk(ast.parse(str(formula))) if isinstance(node, ast.Name)}
    except SyntaxError as error:
        raise UsageError(f"cannot read {formula!r}: {error.msg}", f"formulas.{key}") from error


def _values(axis: str, given: Any) -> dict[str, Any]:
    """The values of an axis by their labels."""
    values = {str(k): v for k, v in given.items()} if isinstance(given, dict) else None
    if values is None and isinstance(given, list):
        values = {name_of(value): value for value in given}
        if any(given.count(value) > 1 for value in given):
            raise UsageError(f"expected values that differ, found {given!r}", f"axes.{axis}")
        if len(values) < len(given):
            raise UsageError(
                f"expected values by names, such as {{first: ..., second: ...}}, as {_twice(given)!r} would "
                "be the name of several",
                f"axes.{axis}",
            )
    if not values:
        raise UsageError(
            f"expected a list of values, or values by their names, found {given!r}", f"axes.{axis}"
        )
    return values


def _twice(given: list[Any]) -> str:
    """A name that several values have."""
    names = [name_of(value) for value in given]
    return next(name for name in names if names.count(name) > 1)


def name_of(value: Any) -> str:
    """The name of a value of an axis in its variants' names.

    >>> name_of([64, 96]), name_of({"class_path": "fusionseg.balancing.UW"}), name_of(None)
    ('[64,96]', 'UW', 'null')
    """
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rpartition(".")[2]
    return "null" if value is None else str(value).replace("/", "-").replace(" ", "")
