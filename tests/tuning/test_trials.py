import math
import sys

import pytest

from fusionseg.config.errors import UsageError, UserError
from fusionseg.engine.decoding import Parameters
from fusionseg.heads import Range
from fusionseg.tuning.trials import Trial, best, check_installed, trials

RANGES = {"region.threshold": Range(0.02, 0.98), "region.kernel": Range(3, 63, step=2)}
OWN: Parameters = {"region": {"threshold": 0.9, "kernel": 7}}


def valley(parameters: Parameters) -> dict[str, float]:
    """Least at a threshold of 0.3 and a kernel of 21."""
    region = parameters["region"]
    return {"voi": (region["threshold"] - 0.3) ** 2 + (region["kernel"] - 21) ** 2 / 1000, "other": 1.0}


def tried(seed: int = 0, number: int = 25, first: Parameters = OWN) -> list[Trial]:
    return list(trials(RANGES, [first], valley, "voi", number, seed))


def test_the_first_trial_is_what_was_there_and_the_best_is_never_worse() -> None:
    found = tried()
    assert len(found) == 25
    assert found[0] == Trial(OWN, valley(OWN))
    assert best(found, "voi").figures["voi"] == min(trial.figures["voi"] for trial in found)
    assert best(found, "voi").figures["voi"] < 0.1 * found[0].figures["voi"]
    assert best(found, "other") is found[0]  # the first of equal ones


def test_draws_are_in_their_ranges_and_a_function_of_the_seed() -> None:
    found = tried()
    assert found == tried()
    assert found[1:] != tried(seed=1)[1:]
    for trial in found[1:]:
        assert 0.02 <= trial.parameters["region"]["threshold"] <= 0.98
        assert trial.parameters["region"]["kernel"] in range(3, 64, 2)


def test_the_first_parameters_may_lie_outside_of_the_ranges() -> None:
    outside: Parameters = {"region": {"threshold": 0.99, "kernel": 101}}
    found = tried(first=outside, number=5)
    assert found[0].parameters == outside
    assert best(found, "voi") is not found[0]


def test_a_figure_that_cannot_be_measured_is_an_error_at_first_and_a_failed_trial_later() -> None:
    def measure(parameters: Parameters) -> dict[str, float]:
        return {"covering": parameters["region"]["threshold"] if parameters == OWN else math.nan}

    found = list(trials(RANGES, [OWN], measure, "covering", 4, 0))
    assert len(found) == 4
    assert best(found, "covering") is found[0]
    with pytest.raises(UserError, match="val/pq cannot be measured on these images"):
        list(trials(RANGES, [OWN], lambda _: {"pq": math.nan}, "pq", 4, 0))


def test_without_optuna_the_line_that_installs_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r'^tuning needs optuna: pip install "fusionseg\[study\]"$'):
        check_installed()
