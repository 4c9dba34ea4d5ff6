import math
import statistics
from typing import Any

import numpy as np
import pytest

from fusionseg.callbacks.epoch_selection import Selected, best, best_of_each, last, mean_of_last, rule
from fusionseg.runs.validations import Validation

SCORE = "val/score"


def run(*scores: float, **others: tuple[float, ...]) -> list[Validation]:
    """An epoch for each score, with further figures."""
    return [
        Validation(epoch, {SCORE: score, **{f"val/{name}": values[epoch] for name, values in others.items()}})
        for epoch, score in enumerate(scores)
    ]


def test_the_last_epoch_is_the_last_whatever_it_reached() -> None:
    assert last(run(0.5, 0.9, 0.2), SCORE) == Selected({SCORE: 0.2}, [2])


def test_the_best_epoch_gives_all_figures_of_that_epoch() -> None:
    found = best(run(0.5, 0.9, 0.7, miou=(0.3, 0.1, 0.8)), SCORE)
    assert found == Selected({SCORE: 0.9, "val/miou": 0.1}, [1])


@pytest.mark.parametrize(
    "figure", ["depth_rmse", "normals_mean_mtan", "voi", "loss", "depth_rel_error_libmtl"]
)
def test_less_of_an_error_is_better(figure: str) -> None:
    validated = run(0, 0, 0, **{figure: (3.0, 1.0, 2.0)})
    assert best(validated, f"val/{figure}").epochs == [1]
    assert best_of_each(validated, SCORE).figures[f"val/{figure}"] == 1


@pytest.mark.parametrize(
    "figure", ["miou_mtan", "normals_within_11_vandenhende", "depth_delta1", "pq", "covering"]
)
def test_more_of_a_score_is_better(figure: str) -> None:
    validated = run(0, 0, 0, **{figure: (1.0, 3.0, 2.0)})
    assert best(validated, f"val/{figure}").epochs == [1]
    assert best_of_each(validated, SCORE).figures[f"val/{figure}"] == 3


def test_of_equal_scores_the_lowest_loss_is_the_best_and_then_the_first() -> None:
    assert best(run(0.9, 0.9, 0.9, loss=(0.3, 0.2, 0.2)), SCORE).epochs == [1]
    # the checkpoint is chosen by what Lightning logs, in single precision
    assert best(run(0.9, 0.9 + 1e-9, loss=(0.2, 0.3)), SCORE).epochs == [0]


def test_epochs_with_an_undefined_score_are_never_the_best() -> None:
    assert best(run(math.nan, 0.1, math.nan), SCORE).epochs == [1]
    assert best(run(math.nan, math.nan), SCORE) == Selected({}, [])
    assert best(run(0.1), "val/unknown") == Selected({}, [])


def test_each_figure_has_its_own_best_epoch_and_those_of_unknown_direction_none() -> None:
    found = best_of_each(run(0.5, 0.9, math.nan, loss=(3, 2, 1), own=(1, 2, 3)), SCORE)
    assert found == Selected({SCORE: 0.9, "val/loss": 1}, [1, 2])


@pytest.mark.parametrize("number", [1, 3, 10, 25])
def test_the_mean_of_the_last_epochs_equals_that_of_their_figures(number: int) -> None:
    scores = np.random.default_rng(number).random(20).tolist()
    figures, epochs = mean_of_last(run(*scores), number)
    assert figures[SCORE] == pytest.approx(statistics.fmean(scores[-number:]), abs=1e-15)
    assert epochs == list(range(20))[-number:]


def test_undefined_figures_are_left_out_of_the_mean() -> None:
    found = mean_of_last(run(0.1, 0.3, 0.5, miou=(math.nan, 0.25, math.nan), pq=(math.nan,) * 3), 3).figures
    assert found[SCORE] == pytest.approx(0.3)
    assert found["val/miou"] == 0.25
    assert math.isnan(found["val/pq"])


def test_epochs_are_counted_and_not_validations() -> None:
    # twice in an epoch, of which the last counts, and then only every fourth
    places = [(0, 0.9), (0, 0.1), (4, 0.2), (8, 0.3), (12, 0.4)]
    validated = [Validation(epoch, {SCORE: score}) for epoch, score in places]
    assert mean_of_last(validated, 10) == Selected({SCORE: pytest.approx(0.3)}, [4, 8, 12])
    assert mean_of_last(validated, 13).figures == {SCORE: pytest.approx(0.25)}
    assert best(validated, SCORE).epochs == [0]


def test_the_best_of_the_last_epochs_is_that_of_a_run_without_the_others() -> None:
    validated = run(0.9, 0.3, 0.5, 0.4, loss=(1, 2, 3, 4))
    for number, epoch in ((1, 3), (2, 2), (3, 2), (4, 0), (9, 0)):
        found = rule(f"best_of_last_{number}")(validated, SCORE)
        assert found == best(validated[-number:], SCORE)
        assert found.epochs == [epoch]
    # epochs without a validation count too
    assert rule("best_of_last_3")([validated[0], validated[3]], SCORE).epochs == [3]
    assert rule("best_of_last_4")([validated[0], validated[3]], SCORE).epochs == [0]


def test_rules_have_names() -> None:
    validated = run(*range(12))
    found = {name: rule(name)(validated, SCORE).figures[SCORE] for name in ("last", "best", "best_of_each")}
    assert set(found.values()) == {11}
    assert rule("mean_of_last_10")(validated, SCORE).figures[SCORE] == 6.5
    assert rule("mean_of_last_2")(validated, SCORE).figures[SCORE] == 10.5


@pytest.mark.parametrize(
    "name", ["", "first", "best_of_last_0", "mean_of_last_0", "mean_of_last_", "mean_of_last_10.5", "Last"]
)
def test_other_names_are_refused(name: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"expected rules of last, best, best_of_each, best_of_last_10 and mean_of_last_10 .*found",
    ):
        rule(name)
