from typing import Any

import optuna
import pytest

from fusionseg.config.errors import UsageError
from fusionseg.studies.search.samplers import quiet
from fusionseg.studies.search.space import Choice, Range, parameter

CLASS = {"class_path": "PCGrad", "init_args": {}}


def drawn(given: Any, number: int = 40) -> list[Any]:
    one = parameter("model.beta", given)
    with quiet():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        trials = [study.ask() for _ in range(number)]
        return [one.suggested(trial) for trial in trials]


def test_a_range_between_whole_numbers_draws_whole_numbers_with_both_ends() -> None:
    values = drawn({"low": 4, "high": 16, "step": 4})
    assert set(values) == {4, 8, 12, 16}
    assert all(isinstance(value, int) for value in values)
    assert set(drawn({"low": 1, "high": 3})) == {1, 2, 3}


def test_a_range_with_a_fraction_draws_numbers_between() -> None:
    values = drawn({"low": 0.5, "high": 4})
    assert len(set(values)) == 40
    assert 0.5 <= min(values) < 1.5 < 3 < max(values) <= 4


def test_a_logarithm_is_drawn_evenly() -> None:
    values = sorted(drawn({"low": 1.0e-4, "high": 1.0, "log": True}, 200))
    assert 2e-3 < values[100] < 5e-2


def test_choices_may_be_classes_with_arguments_or_null() -> None:
    assert {str(value) for value in drawn([None, 2, CLASS, [1, 2]])} == {"None", "2", str(CLASS), "[1, 2]"}
    assert Choice("a", [None, CLASS]).labels == [None, "{class_path: PCGrad, init_args: {}}"]


def test_what_is_declared_is_read_as_the_same() -> None:
    for given in (
        {"low": 1, "high": 8, "log": True},
        {"low": 0.5, "high": 2.0, "step": 0.5},
        ["a", None, CLASS],
    ):
        one = parameter("model.beta", given)
        assert parameter("model.beta", one.declared()) == one


@pytest.mark.parametrize(
    ("one", "middle"),
    [
        (Range("a", 1.0e-4, 1.0e-2, log=True), 1e-3),
        (Range("a", 1, 100, log=True), 10),
        (Range("a", 4, 16, step=4), 8),
        (Range("a", 0.0, 1.0), 0.5),
        (Choice("a", ["x", "y"]), "x"),
    ],
)
def test_the_middle_of_a_parameter_is_one_of_its_values(one: Any, middle: Any) -> None:
    assert one.middle == pytest.approx(middle) if isinstance(middle, float) else one.middle == middle


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, r"^search.space.model.beta: expected a list of choices, or \{low: 0.1, high: 1\}, found 3"),
        ([1], "^search.space.model.beta: expected 2 or more choices that differ"),
        ([1, 1.0], "expected 2 or more choices that differ"),
        ({"low": 1}, "expected a list of choices, or"),
        ({"low": 1, "high": 2, "lg": True}, r"model.beta.lg: no such key of a range; did you mean log\?"),
        ({"low": "1e-4", "high": 2}, "model.beta.low: expected a number, found '1e-4' .*write 1.0e-4"),
        ({"low": 1, "high": float("inf")}, "model.beta.high: expected a number"),
        ({"low": 1, "high": True}, "model.beta.high: expected a number"),
        ({"low": 2, "high": 1}, "expected low below high, found 2 and 1"),
        ({"low": 0, "high": 1, "log": True}, "with log, expected a low above 0 and no step"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "with log, expected a low above 0 and no step"),
        ({"low": 1, "high": 2, "log": "yes"}, "model.beta.log: expected true or false"),
        ({"low": 1, "high": 2, "step": 4}, "model.beta.step: expected a step of at most"),
        ({"low": 4, "high": 17, "step": 4}, "model.beta.step: expected steps from low to high"),
    ],
)
def test_what_is_no_parameter_is_refused_by_its_key(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parameter("model.beta", given)
