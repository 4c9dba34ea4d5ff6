from itertools import product

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import least_p, sign_flip_p


def enumerated(differences: list[float]) -> float:
    """The share of all sign patterns whose sum is at least as far from 0, one by one, by exact fractions of 1000."""
    whole = [round(1000 * value) for value in differences]
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, whole, strict=True)))
        for signs in product((-1, 1), repeat=len(whole))
    ]
    return sum(value >= abs(sum(whole)) for value in sums) / len(sums)


@pytest.mark.parametrize("count", [6, 7, 8, 11, 12])
def test_the_p_value_is_that_of_an_enumeration_with_ties_and_zeros(count: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(10):
        # few different values, so that many sums are equal
        differences = (random.integers(-4, 6, count) / 1000).tolist()
        assert sign_flip_p(differences) == enumerated(differences)


def test_the_p_value_is_scipys() -> None:
    differences = np.random.default_rng(1).normal(0.5, 1, 9)
    expected = stats.permutation_test(
        (differences, np.zeros(9)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=2**9
    )
    assert sign_flip_p(differences.tolist()) == pytest.approx(expected.pvalue, rel=1e-12)


def test_differences_of_one_sign_have_the_least_p_value() -> None:
    for count in range(6, 20):
        differences = np.random.default_rng(count).uniform(0.1, 1, count)
        assert sign_flip_p(differences.tolist()) == sign_flip_p((-differences).tolist()) == least_p(count)


def test_the_least_p_value_is_two_patterns_of_all() -> None:
    assert [least_p(seeds) for seeds in range(8)] == [1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64]


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_p([0.0] * 8) == 1
    assert sign_flip_p([0.3, -0.1, -0.2, 0.1, 0.2, -0.3]) == 1


def test_it_is_made_from_6_seeds_on_and_exact_up_to_40() -> None:
    assert sign_flip_p([1.0] * 5) is None
    assert sign_flip_p([1.0] * 6) == 2 / 2**6
    # of 40 equal differences, 30 have one sign and 10 the other: a binomial test
    p = sign_flip_p([1.0] * 30 + [-1.0] * 10)
    assert p == pytest.approx(stats.binomtest(30, 40).pvalue, rel=1e-10)
    assert sign_flip_p([1.0] * 41) is None


def test_the_p_value_does_not_depend_on_scale_or_order() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, 10)
    expected = sign_flip_p(differences.tolist())
    assert sign_flip_p((1e-9 * differences[::-1]).tolist()) == expected
    assert sign_flip_p((1e9 * np.sort(differences)).tolist()) == expected
