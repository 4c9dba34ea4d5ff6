import math

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics.t_tests import correlation, correlation_p, paired_t_p, welch_p


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_p_values_are_scipys(count: int) -> None:
    random = np.random.default_rng(count)
    a, b = random.normal(0.70, 0.02, count), random.normal(0.69, 0.01, count)
    assert paired_t_p(list(a - b)) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-10)
    assert welch_p(list(a), list(b)) == pytest.approx(
        stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-10
    )


def test_welchs_test_takes_samples_of_different_sizes() -> None:
    a, b = [0.1, 0.5, 0.3, 0.8], [0.9, 0.7]
    assert welch_p(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-10)


@pytest.mark.parametrize("count", [3, 4, 20])
def test_the_correlation_and_its_p_value_are_scipys(count: int) -> None:
    a, b = np.random.default_rng(count).normal(size=(2, count))
    expected = stats.pearsonr(a, b)
    found = correlation(list(a), list(b))
    assert found == pytest.approx(expected.statistic, rel=1e-10)
    assert correlation_p(found, count) == pytest.approx(expected.pvalue, rel=1e-8)


def test_a_constant_difference_has_no_test_because_it_has_no_noise() -> None:
    assert paired_t_p([0.1, 0.1, 0.1]) is None
    assert paired_t_p([0.5 - 0.4, 0.6 - 0.5, 0.7 - 0.6], noise=1e-12) is None
    assert welch_p([0.1, 0.1], [0.2, 0.2]) is None


def test_no_difference_at_all_has_the_p_value_of_1() -> None:
    assert paired_t_p([0.0, 0.0, 0.0]) == 1


def test_one_pair_has_no_test() -> None:
    assert paired_t_p([0.1]) is None
    assert paired_t_p([]) is None
    assert welch_p([0.1, 0.2], [0.1]) is None


def test_two_pairs_or_a_constant_side_have_no_correlation() -> None:
    assert math.isnan(correlation([0.1, 0.2], [0.3, 0.5]))
    assert math.isnan(correlation([0.1, 0.2, 0.3], [0.3, 0.3, 0.3]))
    assert correlation_p(math.nan, 3) == 1


def test_a_perfect_correlation_is_significant() -> None:
    assert correlation([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]) == pytest.approx(1)
    assert correlation_p(1.0, 3) == correlation_p(-1.0, 3) == 0
