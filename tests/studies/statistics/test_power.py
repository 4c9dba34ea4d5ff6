import math

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import paired_power, plan, smallest_difference


def exact(effect: float, spread: float, seeds: int, level: float) -> float:
    """The power from scipy's noncentral t distribution."""
    critical = stats.t.ppf(1 - level / 2, seeds - 1)
    shift = effect / spread * math.sqrt(seeds)
    # scipy's is NaN where the opposite tail is less than 1e-40
    opposite = 0.0 if shift > 8 else stats.nct.cdf(-critical, seeds - 1, shift)
    return float(stats.nct.sf(critical, seeds - 1, shift) + opposite)


@pytest.mark.parametrize("effect", [0.0, 0.005, 0.02, 0.06])
@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("comparisons", [1, 4])
def test_the_power_is_that_of_scipys_distribution(effect: float, seeds: int, comparisons: int) -> None:
    found = paired_power(effect, 0.02, seeds, 0.05, comparisons)
    assert found == pytest.approx(exact(effect, 0.02, seeds, 0.05 / comparisons), abs=1e-9)
    assert paired_power(-effect, 0.02, seeds, 0.05, comparisons) == found


@pytest.mark.parametrize(("effect", "seeds"), [(0.01, 3), (0.02, 5), (0.03, 4), (0.02, 10), (0.01, 20)])
def test_the_power_is_within_5_points_of_simulation(effect: float, seeds: int) -> None:
    studies = np.random.default_rng(seeds).normal(effect, 0.02, (4000, seeds))
    found = float(np.mean(stats.ttest_1samp(studies, 0, axis=1).pvalue <= 0.05))
    assert abs(found - paired_power(effect, 0.02, seeds)) < 0.05 / 2


def test_the_power_is_a_probability_that_rises_with_any_difference() -> None:
    for seeds in (2, 3, 5, 20, 100):
        for level in (0.2, 0.05, 0.001):
            powers = [
                paired_power(effect, 1.0, seeds, level) for effect in [0, *np.geomspace(0.01, 1e9, 200)]
            ]
            assert (np.diff(powers) >= -1e-12).all()
            assert powers[-1] == pytest.approx(1, abs=1e-12)


def test_without_a_difference_the_power_is_the_level() -> None:
    assert paired_power(0, 1.0, 5) == pytest.approx(0.05, abs=1e-9)
    assert paired_power(0, 1.0, 5, comparisons=5) == pytest.approx(0.01, abs=1e-9)


def test_without_noise_every_difference_is_found() -> None:
    assert paired_power(0.01, 0.0, 3) == 1
    assert paired_power(0.0, 0.0, 3) == 0.05
    assert paired_power(1.0, 1e-9, 3) == 1


def test_the_power_rises_with_seeds_and_difference_and_falls_with_spread_and_comparisons() -> None:
    assert paired_power(0.02, 0.02, 6) > paired_power(0.02, 0.02, 5) > paired_power(0.01, 0.02, 5)
    assert paired_power(0.02, 0.02, 5) > paired_power(0.02, 0.03, 5)
    assert paired_power(0.02, 0.02, 5) > paired_power(0.02, 0.02, 5, comparisons=2)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_smallest_difference_is_found_with_the_power(seeds: int, comparisons: int) -> None:
    smallest = smallest_difference(0.02, seeds, 0.9, 0.05, comparisons)
    assert paired_power(smallest, 0.02, seeds, 0.05, comparisons) == pytest.approx(0.9, abs=1e-9)


def test_the_smallest_difference_is_in_units_of_the_spread() -> None:
    assert smallest_difference(0.04, 5) == pytest.approx(2 * smallest_difference(0.02, 5))
    assert smallest_difference(0.0, 5) == 0


def test_a_plan_has_both_powers_of_each_number_of_seeds() -> None:
    differences = [0.010, 0.030, 0.020]
    planned = plan(differences, effect=-0.02, comparisons=2)
    assert [one.seeds for one in planned] == list(range(3, 21))
    upper = 0.01 * math.sqrt(2 / stats.chi2.ppf(0.2, 2))
    for one in planned:
        assert one.power == pytest.approx(exact(0.02, 0.01, one.seeds, 0.025), abs=1e-9)
        assert one.power_at_upper_spread == pytest.approx(exact(0.02, upper, one.seeds, 0.025), abs=1e-9)


def test_the_difference_that_a_pilot_shows_does_not_enter() -> None:
    assert [one.power for one in plan([0.5, 0.75, 0.625], effect=0.1)] == [
        one.power for one in plan([-0.125, 0.125, 0.0], effect=0.1)
    ]


@pytest.mark.parametrize("pilot", [3, 5])
def test_in_8_of_10_pilots_the_true_power_is_at_least_the_stated_one(pilot: int) -> None:
    true = paired_power(0.02, 0.02, 8)
    pilots = np.random.default_rng(pilot).normal(0.0, 0.02, (1500, pilot))
    stated = [plan(one.tolist(), 0.02, seeds=(8,))[0].power_at_upper_spread for one in pilots]
    covered = float(np.mean(np.array(stated) <= true))
    assert abs(covered - 0.8) < 3 * math.sqrt(0.8 * 0.2 / 1500)


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, math.nan, 0.2]])
def test_a_plan_needs_a_pilot(differences: list[float]) -> None:
    with pytest.raises(
        ValueError, match=r"finite differences of at least 2 seeds, found .* run a pilot of 3"
    ):
        plan(differences, 0.02)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or more seeds"):
        paired_power(0.02, 0.02, 1)
    with pytest.raises(ValueError, match="a spread of at least 0"):
        paired_power(0.02, math.nan, 5)
    with pytest.raises(ValueError, match="expected a level between 0 and 1"):
        plan([0.1, 0.2], 0.02, level=5)
    for power in (0.05, 1.0):
        with pytest.raises(ValueError, match="expected a power between the level and 1"):
            smallest_difference(0.02, 5, power)
