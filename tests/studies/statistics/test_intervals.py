import math

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import mean_interval, spread_bound, spread_interval


@pytest.mark.parametrize("count", [2, 3, 5, 30])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_the_interval_of_a_mean_is_scipys(count: int, level: float) -> None:
    values = np.random.default_rng(count).normal(0.7, 0.02, count)
    found = mean_interval(values.tolist(), level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-10)
    assert (found.mean, found.spread, found.count) == pytest.approx(
        (values.mean(), stats.tstd(values), count)
    )


@pytest.mark.parametrize("count", [2, 3, 5, 30])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_interval_of_a_spread_is_that_of_the_chi_square_distribution(count: int, level: float) -> None:
    values = np.random.default_rng(count).normal(0.7, 0.02, count)
    found = spread_interval(values.tolist(), level)
    tails = stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], count - 1)
    expected = np.sqrt((count - 1) * values.var(ddof=1) / tails)
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-10)
    assert (found.spread, found.count) == pytest.approx((values.std(ddof=1), count))


def test_three_values_leave_the_spread_between_half_and_six_times_the_estimate() -> None:
    found = spread_interval([0.70, 0.72, 0.71])
    assert round(found.low / found.spread, 2) == 0.52
    assert round(found.high / found.spread, 2) == 6.28


def test_both_intervals_and_the_bound_cover_as_often_as_they_say() -> None:
    samples = np.random.default_rng(0).normal(3, 2, (2000, 4))
    means = [mean_interval(sample.tolist(), 0.9) for sample in samples]
    spreads = [spread_interval(sample.tolist(), 0.9) for sample in samples]
    error = 3 * math.sqrt(0.9 * 0.1 / 2000)
    assert abs(np.mean([one.low <= 3 <= one.high for one in means]) - 0.9) < error
    assert abs(np.mean([one.low <= 2 <= one.high for one in spreads]) - 0.9) < error
    assert abs(np.mean([spread_bound(one.spread, 4, 0.9) >= 2 for one in means]) - 0.9) < error


def test_one_value_has_a_mean_and_no_interval() -> None:
    found = mean_interval([0.7])
    assert (found.mean, found.count) == (0.7, 1)
    assert np.isnan([found.spread, found.low, found.high]).all()
    spread = spread_interval([0.7])
    assert np.isnan([spread.spread, spread.low, spread.high, spread_bound(1.0, 1, 0.8)]).all()


def test_no_value_has_nothing() -> None:
    found = mean_interval([])
    assert found.count == 0
    assert np.isnan([found.mean, found.spread, found.low, found.high]).all()


def test_nan_is_not_left_out_silently() -> None:
    found = mean_interval([0.7, math.nan, 0.8])
    assert np.isnan([found.mean, found.spread, found.low, found.high]).all()


@pytest.mark.parametrize("level", [0, 1, 95, math.nan])
def test_a_level_is_a_probability(level: float) -> None:
    for call in (mean_interval, spread_interval):
        with pytest.raises(ValueError, match=r"level between 0 and 1 \(such as 0.95\), found"):
            call([1.0, 2.0], level)
