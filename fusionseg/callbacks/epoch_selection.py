"""Rules by which papers select the epoch that they report, as functions of the validations of a run."""

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from fusionseg.callbacks.checkpoints import LOSS, better
from fusionseg.metrics.directions import higher_is_better, lower_is_better
from fusionseg.runs.validations import Validation

OURS = "last"
"""The rule that the others are compared with: the last epoch, which nothing was chosen by."""


class Selected(NamedTuple):
    """What a rule reports.

    Args:
        figures: The figures, such as `val/miou`; those of which it has none are left out.
        epochs: The epochs that they are of, counted from 0, ascending.
    """

    figures: dict[str, float]
    epochs: list[int]


Rule: TypeAlias = Callable[[Sequence[Validation], str], Selected]
"""From the validations of a run, of which there is one at least, and the monitored figure."""


def rule(name: str) -> Rule:
    """The rule of a name: `last`, `best`, `best_of_each`, `best_of_last_10`, `mean_of_last_10` (any number).

    Raises:
        ValueError: If there is none.
    """
    if found := re.fullmatch(r"(best|mean)_of_last_([1-9]\d*)", name):
        number = int(found[2])
        if found[1] == "best":
            return lambda validations, monitor: best(of_last(validations, number), monitor)
        return lambda validations, monitor: mean_of_last(validations, number)
    known = (last, best, best_of_each)
    for one in known:
        if one.__name__ == name:
            return one
    names = ", ".join(one.__name__ for one in known)
    raise ValueError(
        f"expected rules of {names}, best_of_last_10 and mean_of_last_10 (or another number), found {name!r}"
    )


def last(validations: Sequence[Validation], monitor: str) -> Selected:
    """The figures of the last validation."""
    return Selected(validations[-1].figures, [validations[-1].epoch])


def best(validations: Sequence[Validation], monitor: str) -> Selected:
    """The figures of the validation with the best monitored figure, which are those of `best.ckpt`.

    Of equal ones that with the lowest `val/loss`, and of these the first. Where the figure is undefined in
    all validations nothing is selected.
    """
    chosen: Validation | None = None
    least: dict[str, float] = {}
    for one in validations:
        # in single precision, as Lightning compares them, or close figures would be no equal ones
        own = {name: float(np.float32(one.figures[name])) for name in (monitor, LOSS) if name in one.figures}
        if monitor in own and better(own, least, monitor):
            chosen = one
            least = own
    return Selected(chosen.figures, [chosen.epoch]) if chosen else Selected({}, [])


def best_of_each(validations: Sequence[Validation], monitor: str) -> Selected:
    """The best value of each figure, whatever its epoch; none of a figure whose direction is not known."""
    figures = {}
    epochs = set()
    for name in _names(validations):
        known = [one for one in validations if not math.isnan(one.figures.get(name, math.nan))]
        if known and lower_is_better(name) != higher_is_better(name):
            sign = -1 if lower_is_better(name) else 1
            chosen = max(known, key=lambda one: sign * one.figures[name])
            figures[name] = chosen.figures[name]
            epochs.add(chosen.epoch)
    return Selected(figures, sorted(epochs))


def of_last(validations: Sequence[Validation], number: int) -> list[Validation]:
    """The validations of the last epochs, up to that of the last validation.

    Args:
        validations: The validations of a run.
        number: How many epochs.
    """
    first = validations[-1].epoch - number + 1
    return [one for one in validations if one.epoch >= first]


def mean_of_last(validations: Sequence[Validation], number: int) -> Selected:
    """The mean of each figure over the last epochs, up to that of the last validation.

    An epoch without a validation has no part in it, and of one with several the last counts. Of a figure
    that is undefined in some of the epochs it is the mean over the others.

    Args:
        validations: The validations of a run.
        number: Over how many epochs.
    """
    window = list({one.epoch: one for one in of_last(validations, number)}.values())
    figures = {}
    for name in _names(window):
        every = (one.figures.get(name, math.nan) for one in window)
        values = [value for value in every if not math.isnan(value)]
        figures[name] = math.fsum(values) / len(values) if values else math.nan
    return Selected(figures, [one.epoch for one in window])


def _names(validations: Sequence[Validation]) -> list[str]:
    """The names of all figures, in the order in which they appear."""
    return list(dict.fromkeys(name for one in validations for name in one.figures))
