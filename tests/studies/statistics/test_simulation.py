"""Synthetic studies without a true difference: how often tests find one all the same.

Three variants are compared with a reference that they share, over seeds whose common part (initialization, order
of the images) correlates their figures.
"""

import math
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import attainable, holm, least_p, paired, sign_flip_p
from fusionseg.studies.statistics.resampling import Floats
from fusionseg.studies.statistics.t_tests import welch_p

STUDIES = 2000
VARIANTS = 3
LEVEL = 0.05
ERROR = 3 * math.sqrt(LEVEL * (1 - LEVEL) / STUDIES)
"""Three standard errors of a share of 5 % of all studies."""


def studies(seeds: int, skewed: bool = False) -> Floats:
    """The figures of the reference and the variants (studies, 1 + variants, seeds)."""
    random = np.random.default_rng(seeds)
    draw: Any = (lambda size: random.exponential(1, size) - 1) if skewed else partial(random.normal, 0, 1)
    common = draw(size=(STUDIES, 1, seeds))
    own = draw(size=(STUDIES, 1 + VARIANTS, seeds))
    if skewed:
        # a reference without noise of its own leaves the skewness in the differences
        own[:, 0] = 0
    return 0.7 + 0.02 * (0.6 * common + 0.8 * own)


@cache
def p_values(seeds: int, skewed: bool = False) -> tuple[Floats, Floats]:
    """Those of the paired t test and of the sign-flip test (studies, variants); NaN where it is withheld."""
    figures = studies(seeds, skewed)
    t_p = np.empty((len(figures), VARIANTS))
    flip_p = np.full_like(t_p, np.nan)
    for number, (reference, *variants) in enumerate(figures.tolist()):
        for position, variant in enumerate(variants):
            test = paired(dict(enumerate(variant)), dict(enumerate(reference)))
            assert test.t_p is not None
            t_p[number, position] = test.t_p
            flip_p[number, position] = math.nan if test.sign_flip_p is None else test.sign_flip_p
    return t_p, flip_p


def family_wise(p: Floats) -> float:
    """The share of studies in which Holm's procedure finds any difference."""
    return float(
        np.mean(
            [min(adjusted for adjusted in holm(row) if adjusted is not None) <= LEVEL for row in p.tolist()]
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 8])
def test_the_paired_t_test_finds_what_is_not_there_in_5_percent(seeds: int) -> None:
    t_p, _ = p_values(seeds)
    for variant in range(VARIANTS):
        assert 0.03 <= np.mean(t_p[:, variant] <= LEVEL) <= LEVEL + ERROR
    assert 0.03 <= family_wise(t_p) <= LEVEL + ERROR
    # uncorrected, one of three comparisons is wrong far more often
    assert np.mean(t_p.min(1) <= LEVEL) > 0.09


@pytest.mark.parametrize("spread", [1, 3])
@pytest.mark.parametrize("seeds", [5, 8])
def test_welchs_test_finds_what_is_not_there_in_5_percent_of_unpaired_seeds(seeds: int, spread: int) -> None:
    figures = np.random.default_rng(seeds).normal(0.7, 0.02, (STUDIES, 2, seeds))
    figures[:, 1] = 0.7 + spread * (figures[:, 1] - 0.7)
    found = [welch_p(*pair) for pair in figures.tolist()]
    assert 0.03 <= np.mean([p is not None and p <= LEVEL for p in found]) <= LEVEL + ERROR


@pytest.mark.slow
def test_where_seeds_are_paired_it_is_shown_only_where_pairs_do_not_correlate() -> None:
    # and so it finds what is not there no more often than at its level
    tests = [paired(dict(enumerate(one[1])), dict(enumerate(one[0]))) for one in studies(8).tolist()]
    shown = [test.welch_p for test in tests if test.welch_p is not None]
    assert 0 < len(shown) < STUDIES
    assert np.mean(np.array(shown) <= LEVEL) <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / len(shown))


def test_a_true_difference_leaves_the_others_their_family_wise_level() -> None:
    p = p_values(8)[0].copy()
    p[:, 0] = 1e-9
    found = [[adjusted is not None and adjusted <= LEVEL for adjusted in holm(row)] for row in p.tolist()]
    assert all(row[0] for row in found)
    assert 0.03 <= np.mean([any(row[1:]) for row in found]) <= LEVEL + ERROR


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [6, 8])
def test_the_sign_flip_test_keeps_its_attainable_level(seeds: int) -> None:
    _, flip_p = p_values(seeds)
    level = math.floor(LEVEL / least_p(seeds)) * least_p(seeds)
    error = 3 * math.sqrt(level * (1 - level) / STUDIES)
    for variant in range(VARIANTS):
        assert abs(np.mean(flip_p[:, variant] <= LEVEL) - level) <= error
    if attainable(VARIANTS, seeds):
        assert 0 < family_wise(flip_p) <= LEVEL + ERROR
    else:
        assert family_wise(flip_p) == 0


@pytest.mark.slow
def test_skewed_noise_makes_both_tests_reject_as_often_as_the_guide_says() -> None:
    # reported in docs/statistics.md, not required: exponential noise in one variant alone
    t_p, _ = p_values(5, skewed=True)
    assert round(float(np.mean(t_p <= LEVEL)), 2) == 0.13
    _, flip_p = p_values(8, skewed=True)
    assert round(float(np.mean(flip_p <= LEVEL)), 2) == 0.10


@pytest.mark.slow
def test_images_counted_as_seeds_find_differences_that_are_not_there() -> None:
    # the check on these checks: 3 runs of 100 images each, taken for 300 replicates of training
    random = np.random.default_rng(0)
    images = studies(3)[..., None] + random.normal(0, 0.05, (STUDIES, 1, 1, 100))
    replicates = images + random.normal(0, 0.02, images.shape)
    reference, variant = replicates[:, 0].reshape(STUDIES, -1), replicates[:, 1].reshape(STUDIES, -1)
    wrong = stats.ttest_rel(variant, reference, axis=1).pvalue
    assert np.mean(wrong <= LEVEL) > 0.5
    tests = [
        paired(dict(enumerate(variant[number].tolist())), dict(enumerate(reference[number].tolist())))
        for number in range(200)
    ]
    found = [test.t_p for test in tests if test.t_p is not None]
    np.testing.assert_allclose(found, wrong[:200], rtol=1e-7)
    # and the same runs, one figure a run, as they should be counted
    by_run = [
        paired(dict(enumerate(one[1])), dict(enumerate(one[0]))) for one in replicates.mean(-1).tolist()
    ]
    right = [test.t_p for test in by_run if test.t_p is not None]
    assert len(right) == STUDIES
    assert 0.03 <= np.mean(np.array(right) <= LEVEL) <= LEVEL + ERROR


def test_the_sign_flip_test_of_skewed_but_equal_variants_keeps_its_level() -> None:
    random = np.random.default_rng(1)
    figures = random.exponential(1, (STUDIES, 2, 8))
    found = [sign_flip_p((a - b).tolist()) for a, b in figures]
    level = math.floor(LEVEL / least_p(8)) * least_p(8)
    assert abs(np.mean([p is not None and p <= LEVEL for p in found]) - level) <= ERROR
