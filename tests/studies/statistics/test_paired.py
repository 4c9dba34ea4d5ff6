import math

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import paired, sign_flip_p


def figures(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", first: int = 0) -> dict[int, float]:
    return dict(enumerate(values.tolist(), first))


@pytest.fixture
def correlated() -> tuple[dict[int, float], dict[int, float]]:
    random = np.random.default_rng(0)
    common = random.normal(0.7, 0.02, 8)
    return figures(common + random.normal(0.01, 0.004, 8)), figures(common + random.normal(0, 0.004, 8))


def test_a_comparison_is_scipys_on_the_paired_seeds(
    correlated: tuple[dict[int, float], dict[int, float]],
) -> None:
    a, b = correlated
    shuffled = dict(reversed(b.items()))
    test = paired(a, shuffled, level=0.9)
    first, second = np.array(list(a.values())), np.array(list(b.values()))
    expected = stats.ttest_rel(first, second)
    assert test.t_p == pytest.approx(expected.pvalue, rel=1e-9)
    ends = expected.confidence_interval(0.9)
    assert (test.interval.low, test.interval.high) == pytest.approx((ends.low, ends.high), rel=1e-9)
    assert test.difference == test.interval.mean == pytest.approx((first - second).mean())
    assert test.differences == pytest.approx(first - second)
    assert test.correlation == pytest.approx(stats.pearsonr(first, second).statistic)
    assert test.sign_flip_p == sign_flip_p(list(first - second))
    assert (test.least_p, test.seeds, test.missing, test.withheld) == (2 / 2**8, tuple(range(8)), (), "")


def test_welchs_test_stands_beside_only_where_seeds_do_not_correlate(
    correlated: tuple[dict[int, float], dict[int, float]],
) -> None:
    a, b = correlated
    assert stats.pearsonr(list(a.values()), list(b.values())).pvalue < 0.05
    assert paired(a, b).welch_p is None
    values = np.random.default_rng(3).normal(0.7, 0.02, (2, 8))
    assert stats.pearsonr(*values).pvalue > 0.05
    expected = stats.ttest_ind(*values, equal_var=False).pvalue
    assert paired(figures(values[0]), figures(values[1])).welch_p == pytest.approx(expected)


def test_a_missing_seed_is_reported_and_withholds_tests_and_interval(
    correlated: tuple[dict[int, float], dict[int, float]],
) -> None:
    a, b = correlated
    del a[3], b[5]
    test = paired(a, b)
    assert (test.seeds, test.missing) == ((0, 1, 2, 4, 6, 7), (3, 5))
    assert (test.t_p, test.sign_flip_p, test.welch_p) == (None, None, None)
    assert math.isnan(test.interval.low)
    assert math.isnan(test.interval.high)
    assert test.difference == pytest.approx(np.mean([a[seed] - b[seed] for seed in test.seeds]))
    assert test.withheld == "no test: seeds 3, 5 missing"


def test_a_seed_that_both_lack_is_missing_if_it_was_planned() -> None:
    a, b = {0: 0.7, 1: 0.8}, {0: 0.6, 1: 0.75}
    assert paired(a, b).missing == ()
    test = paired(a, b, planned=range(3))
    assert (test.missing, test.t_p, test.withheld) == ((2,), None, "no test: seed 2 missing")


@pytest.mark.parametrize("nothing", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_is_missing(nothing: float) -> None:
    test = paired({0: 0.7, 1: 0.8, 2: nothing}, {0: 0.6, 1: 0.75, 2: 0.7})
    assert (test.seeds, test.missing, test.t_p) == ((0, 1), (2,), None)
    assert math.isfinite(test.difference)


def test_too_few_seeds_say_so() -> None:
    test = paired({0: 0.7}, {0: 0.6})
    assert (test.t_p, test.withheld) == (None, "no test: 1 seed, of at least 2")
    assert test.difference == pytest.approx(0.1)
    nothing = paired({}, {})
    assert (nothing.seeds, nothing.least_p, nothing.withheld) == ((), 1, "no test: 0 seeds, of at least 2")
    assert math.isnan(nothing.difference)


def test_a_difference_that_no_seed_changes_has_no_t_test_whatever_the_rounding() -> None:
    test = paired({0: 0.3, 1: 0.6, 2: 1.2}, {0: 0.2, 1: 0.5, 2: 1.1})
    assert len(set(test.differences)) > 1
    assert (test.t_p, test.withheld) == (None, "no t test: the difference is the same for every seed")
    assert math.isnan(test.interval.low)


def test_equal_variants_do_not_differ() -> None:
    same = {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.5, 4: 0.4, 5: 0.6}
    test = paired(same, dict(same))
    assert (test.difference, test.t_p, test.sign_flip_p) == (0, 1, 1)


def test_swapping_the_variants_turns_the_difference_and_keeps_the_p_values(
    correlated: tuple[dict[int, float], dict[int, float]],
) -> None:
    a, b = correlated
    one, other = paired(a, b), paired(b, a)
    assert one.difference == -other.difference
    assert (one.t_p, one.sign_flip_p) == (other.t_p, other.sign_flip_p)
    assert one.interval.low == pytest.approx(-other.interval.high)
