from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from fusionseg.studies.statistics import attainable, holm, least_p, seeds_needed, sign_flip_p


def rejected(p_values: Sequence[float], level: float) -> list[bool]:
    """Holm's procedure as it is stated: step down while the smallest p-value left is small enough."""
    left = list(range(len(p_values)))
    rejections = [False] * len(p_values)
    while left:
        smallest = min(left, key=lambda position: p_values[position])
        if p_values[smallest] > level / len(left):
            break
        rejections[smallest] = True
        left.remove(smallest)
    return rejections


def test_adjusted_p_values_reject_what_holms_procedure_rejects() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        p_values = (random.random(random.integers(1, 8)) ** 3).tolist()
        adjusted = holm(p_values)
        for level in (0.01, 0.05, 0.2):
            assert [p is not None and p <= level for p in adjusted] == rejected(p_values, level)


def test_a_single_p_value_is_not_changed() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_equal_p_values_have_equal_adjusted_ones() -> None:
    assert holm([0.02, 0.01, 0.02]) == [0.04, 0.03, 0.04]


def test_adjusted_p_values_are_at_most_1() -> None:
    assert holm([0.6, 0.9]) == [1, 1]


def test_a_withheld_test_counts_as_one_that_shows_nothing() -> None:
    assert holm([0.01, None, 0.02]) == [0.03, None, 0.04]
    assert holm([0.01, 1.0, 0.02]) == [0.03, 1.0, 0.04]
    assert holm([None, None]) == [None, None]


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"expected p-values in \[0, 1\], or None for withheld tests, found"):
        holm([0.5, wrong])


def test_attainable_is_whether_any_outcome_is_significant() -> None:
    for count, seeds in product(range(1, 10), range(3, 12)):
        best = sign_flip_p([1.0] * seeds)
        adjusted = holm([best] * count)
        assert attainable(count, seeds) == (adjusted[0] is not None and adjusted[0] <= 0.05)


def test_six_sign_flips_show_nothing_once_there_are_two_comparisons() -> None:
    assert attainable(1, 6)
    assert not attainable(2, 6)
    assert attainable(2, 7)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_seeds_needed_are_the_fewest_that_can_show_something(level: float) -> None:
    for count in range(1, 40):
        needed = seeds_needed(count, level)
        assert attainable(count, needed, level)
        assert not attainable(count, needed - 1, level)
        assert least_p(needed) * count <= level


def test_a_family_has_a_comparison_and_a_level() -> None:
    with pytest.raises(ValueError, match="at least one comparison, found 0"):
        attainable(0, 6)
    with pytest.raises(ValueError, match="expected a level between 0 and 1"):
        seeds_needed(2, 5)
