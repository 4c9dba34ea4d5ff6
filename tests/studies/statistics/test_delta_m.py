import math

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import delta_m


def test_the_value_is_the_formula_with_the_sign_of_errors() -> None:
    # Vandenhende et al. 2021, eq. 1, by hand: (+10 % + 20 % - 5 %) / 3
    results = {"miou": {0: 0.55}, "rmse": {0: 0.8}, "covering": {0: 0.57}}
    baselines = {"miou": {0: 0.50}, "rmse": {0: 1.0}, "covering": {0: 0.60}}
    gain = delta_m(results, baselines, lower_is_better=["rmse"])
    assert gain.value == pytest.approx(0.25 / 3)
    assert gain.tasks == pytest.approx({"miou": 0.1, "rmse": 0.2, "covering": -0.05})


def test_the_interval_is_students_over_paired_seeds() -> None:
    random = np.random.default_rng(0)
    results = {task: dict(enumerate(random.normal(0.7, 0.02, 6).tolist())) for task in ("a", "b")}
    baselines = {task: dict(enumerate(random.normal(0.68, 0.02, 6).tolist())) for task in ("a", "b")}
    by_seed = [
        np.mean([results[task][seed] / baselines[task][seed] - 1 for task in ("a", "b")]) for seed in range(6)
    ]
    gain = delta_m(results, baselines, level=0.9)
    expected = stats.ttest_1samp(by_seed, 0).confidence_interval(0.9)
    assert (gain.interval.low, gain.interval.high) == pytest.approx((expected.low, expected.high))
    assert gain.value == gain.interval.mean == pytest.approx(np.mean(by_seed))
    assert gain.value == pytest.approx(np.mean(list(gain.tasks.values())))
    assert (gain.seeds, gain.missing) == (tuple(range(6)), ())


def test_a_missing_seed_is_reported_and_withholds_the_interval() -> None:
    results = {"a": {0: 0.5, 1: 0.6, 2: 0.7}, "b": {0: 0.5, 1: 0.6, 2: 0.7}}
    baselines = {"a": {0: 0.4, 1: 0.5, 2: 0.5}, "b": {0: 0.4, 2: 0.5, 3: 0.5}}
    gain = delta_m(results, baselines)
    assert (gain.seeds, gain.missing) == ((0, 2), (1, 3))
    assert gain.value == pytest.approx((0.25 + 0.4) / 2)
    assert math.isnan(gain.interval.low)
    assert math.isnan(gain.interval.high)


@pytest.mark.parametrize("nothing", [0.0, math.nan])
def test_a_baseline_of_nothing_has_no_relative_gain(nothing: float) -> None:
    gain = delta_m({"a": {0: 0.5, 1: 0.6}}, {"a": {0: nothing, 1: 0.5}})
    assert (gain.seeds, gain.missing) == ((1,), (0,))
    assert gain.value == pytest.approx(0.2)


def test_without_a_common_seed_there_is_no_value() -> None:
    gain = delta_m({"a": {0: 0.5}}, {"a": {1: 0.5}})
    assert math.isnan(gain.value)
    assert math.isnan(gain.tasks["a"])
    assert gain.missing == (0, 1)


def test_every_task_needs_its_baseline() -> None:
    with pytest.raises(
        ValueError, match="a baseline for each task, found results of a, b and baselines of a"
    ):
        delta_m({"a": {0: 1.0}, "b": {0: 1.0}}, {"a": {0: 1.0}})
    with pytest.raises(ValueError, match="found results of no task and baselines of no task"):
        delta_m({}, {})
