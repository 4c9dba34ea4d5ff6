"""Trials of a decoder's parameters, drawn by Optuna."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.decoding import Parameters
from fusionseg.heads import Range
from fusionseg.metrics.directions import lower_is_better
from fusionseg.studies.search import space
from fusionseg.studies.search.samplers import INSTALL, quiet


class Trial(NamedTuple):
    """Parameters that were tried, and the figures of the validation images with them."""

    parameters: Parameters
    figures: dict[str, float]


def check_installed() -> None:
    """Raises a UsageError if Optuna is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError(f"tuning needs optuna: {INSTALL}") from error


def trials(
    ranges: Mapping[str, Range],
    first: Sequence[Parameters],
    measure: Callable[[Parameters], dict[str, float]],
    figure: str,
    number: int,
    seed: int,
) -> Iterator[Trial]:
    """Tries parameters one after the other: given ones, then those that Optuna's TPE sampler draws.

    Args:
        ranges: Where each parameter is looked for, by `task.parameter`.
        first: What is tried first, also outside of the ranges.
        measure: The figures with given parameters.
        figure: The figure that decides.
        number: How many trials there are, the first ones included.
        seed: What the draws depend on.

    Raises:
        UserError: If the figure of the first trial is no number.
    """
    import optuna

    settings = [space.Range(key, *values) for key, values in ranges.items()]
    distributions = {one.key: one.distribution() for one in settings}
    with quiet():
        study = optuna.create_study(
            direction="minimize" if lower_is_better(figure) else "maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
        )
    for place in range(number):
        if place < len(first):
            figures = measure(first[place])
            if not place and not math.isfinite(figures[figure]):
                raise UserError(f"val/{figure} cannot be measured on these images: choose another --metric")
            yield Trial(first[place], figures)
            with suppress(ValueError):  # outside of the ranges, where the sampler knows nothing
                known = optuna.create_trial(
                    params=_flat(first[place]), distributions=distributions, value=figures[figure]
                )
                study.add_trial(known)
            continue
        with quiet():
            trial = study.ask()
            drawn = {one.key: one.suggested(trial) for one in settings}
        parameters = _by_task(drawn)
        figures = measure(parameters)
        with quiet():
            if math.isfinite(figures[figure]):
                study.tell(trial, figures[figure])
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
        yield Trial(parameters, figures)


def best(tried: Sequence[Trial], figure: str) -> Trial:
    """The trial with the best figure, the first of equal ones."""
    sign = -1 if lower_is_better(figure) else 1
    known = [trial for trial in tried if math.isfinite(trial.figures[figure])]
    return max(known, key=lambda trial: sign * trial.figures[figure])


def _flat(parameters: Parameters) -> dict[str, float]:
    return {f"{task}.{name}": value for task, values in parameters.items() for name, value in values.items()}


def _by_task(drawn: Mapping[str, float]) -> Parameters:
    parameters: Parameters = {}
    for key, value in drawn.items():
        task, _, name = key.partition(".")
        parameters.setdefault(task, {})[name] = value
    return parameters
