"""The space of a search: settings with a range or with choices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.files.atomic import Json

if TYPE_CHECKING:
    import optuna

RANGE = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Range:
    """A setting with a number between two ends; a whole one where ends and step are.

    Attributes:
        key: The setting, with dots.
        low: The lower end.
        high: The upper end, which is drawn too.
        log: Whether its logarithm is drawn evenly.
        step: The distance of the values from the lower end on; None for all numbers between.
    """

    key: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 0))

    @property
    def values(self) -> list[Any]:
        """The values that are tried before anything runs: its ends."""
        return [self.low, self.high]

    @property
    def middle(self) -> float:
        """The value in the middle, of the logarithm where that is drawn."""
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        if self.step is not None:
            middle = self.low + (middle - self.low) // self.step * self.step
        return round(middle) if self.whole else middle

    def suggested(self, trial: "optuna.Trial") -> Any:
        """The value of a trial."""
        if self.whole:
            return trial.suggest_int(
                self.key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log
            )
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        """Its distribution in Optuna's words."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    def declared(self) -> Json:
        """The entry of the study file, in full."""
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}


@dataclass(frozen=True)
class Choice:
    """A setting with one of several values.

    Attributes:
        key: The setting, with dots.
        values: Its values. Optuna knows those that are mappings or lists by their text.
    """

    key: str
    values: list[Any]

    @property
    def labels(self) -> list[Any]:
        """The values as Optuna and tables know them."""
        return [as_text(value) if isinstance(value, dict | list) else value for value in self.values]

    @property
    def middle(self) -> Any:
        """The first value."""
        return self.values[0]

    def suggested(self, trial: "optuna.Trial") -> Any:
        """The value of a trial."""
        return self.values[self.labels.index(trial.suggest_categorical(self.key, self.labels))]

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        """Its distribution in Optuna's words."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels)

    def declared(self) -> list[Any]:
        """The entry of the study file."""
        return list(self.values)


Parameter: TypeAlias = Range | Choice


def parameter(key: str, given: Any) -> Parameter:
    """A parameter as a study file has it: a list of choices, or a mapping with `low` and `high`.

    Raises:
        UsageError: If it is neither, or there is nothing to draw.
    """
    name = f"search.space.{key}"
    if isinstance(given, list):
        choice = Choice(key, given)
        if len(given) < 2 or any(label in choice.labels[:i] for i, label in enumerate(choice.labels)):
            raise UsageError(f"expected 2 or more choices that differ, found {given!r}", name)
        return choice
    if not isinstance(given, dict) or not {"low", "high"} <= given.keys():
        raise UsageError(f"expected a list of choices, or {{low: 0.1, high: 1}}, found {given!r}", name)
    if unknown := sorted(map(str, given.keys() - set(RANGE))):
        raise UsageError(f"no such key of a range{nearest(unknown[0], RANGE)}", f"{name}.{unknown[0]}")
    return _range(key, given, name)


def _range(key: str, given: Mapping[str, Any], name: str) -> Range:
    for part in ("low", "high", "step"):
        value = given.get(part)
        missing = value is None and part == "step"
        if not missing and (
            isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
        ):
            hint = " (YAML reads 1e-4 as a text: write 1.0e-4)" if isinstance(value, str) else ""
            raise UsageError(f"expected a number, found {value!r}{hint}", f"{name}.{part}")
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise UsageError(f"expected true or false, found {log!r}", f"{name}.log")
    made = Range(key, given["low"], given["high"], log, given.get("step"))
    if made.low >= made.high:
        raise UsageError(f"expected low below high, found {made.low!r} and {made.high!r}", name)
    if log and (made.low <= 0 or made.step is not None):
        raise UsageError("with log, expected a low above 0 and no step", name)
    if made.step is not None and not 0 < made.step <= made.high - made.low:
        raise UsageError(f"expected a step of at most high - low, found {made.step!r}", f"{name}.step")
    if made.step is not None and abs((steps := (made.high - made.low) / made.step) - round(steps)) > 1e-6:
        raise UsageError(f"expected steps from low to high, found {made.step!r}", f"{name}.step")
    return made


def as_text(value: Any) -> str:
    """A value as one word of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return str(text).removesuffix("\n").removesuffix("\n...")
