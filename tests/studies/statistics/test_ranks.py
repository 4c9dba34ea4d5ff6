import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import ranking
from fusionseg.studies.statistics.ranks import average_ranks

Results = dict[str, dict[str, dict[int, float]]]


def results(seeds: int = 5, decimals: int = 2) -> Results:
    random = np.random.default_rng(0)
    return {
        name: {
            metric: dict(enumerate(np.round(random.normal(mean, 0.03, seeds), decimals).tolist()))
            for metric in ("miou", "rmse")
        }
        for name, mean in (("a", 0.70), ("b", 0.72), ("c", 0.71), ("d", 0.60))
    }


def test_ranks_are_scipys_with_ties() -> None:
    values = np.random.default_rng(0).integers(0, 5, (50, 7)).astype(float)
    expected = stats.rankdata(-values, axis=1)
    np.testing.assert_array_equal(average_ranks(values), expected)


def test_ranks_are_those_of_the_means_and_the_order_is_that_of_the_mean_rank() -> None:
    found = ranking(results(), lower_is_better=["rmse"])
    names = list(results())
    miou = stats.rankdata([-np.mean(list(results()[name]["miou"].values())) for name in names])
    rmse = stats.rankdata([np.mean(list(results()[name]["rmse"].values())) for name in names])
    for variant in found.variants:
        position = names.index(variant.name)
        assert variant.ranks == {"miou": miou[position], "rmse": rmse[position]}
        assert variant.mean_rank == (miou[position] + rmse[position]) / 2
    places = [variant.place for variant in found.variants]
    assert places == stats.rankdata([variant.mean_rank for variant in found.variants]).tolist()
    assert places == sorted(places)
    assert (found.seeds, found.unranked) == (tuple(range(5)), ())


def test_stability_is_that_of_a_loop_over_resamples() -> None:
    values = results(4)
    found = {variant.name: variant for variant in ranking(values, resamples=300, seed=5).variants}
    drawn = np.random.default_rng(5).integers(4, size=(300, 4))
    first, kept = dict.fromkeys(values, 0.0), dict.fromkeys(values, 0.0)
    for seeds in drawn:
        ranks: Any = 0
        for metric in ("miou", "rmse"):
            ranks = ranks + stats.rankdata([-np.mean([values[n][metric][s] for s in seeds]) for n in values])
        places = stats.rankdata(ranks)
        for name, rank, place in zip(values, ranks, places, strict=True):
            first[name] += (rank == ranks.min()) / (ranks == ranks.min()).sum() / 300
            kept[name] += (place == found[name].place) / 300
    assert {name: variant.first for name, variant in found.items()} == pytest.approx(first)
    assert {name: variant.kept for name, variant in found.items()} == pytest.approx(kept)


def test_the_shares_of_the_first_place_add_up_to_1() -> None:
    assert sum(variant.first for variant in ranking(results(decimals=1)).variants) == pytest.approx(1)


def test_equal_variants_share_ranks_and_the_first_place() -> None:
    same = results()["a"]
    one, other = ranking({"one": same, "other": same}).variants
    assert one.ranks == other.ranks == {"miou": 1.5, "rmse": 1.5}
    assert (one.first, one.kept) == (other.first, other.kept) == (0.5, 1)


def test_a_clear_order_is_stable() -> None:
    clear = {
        name: {"miou": {seed: base + 0.01 * seed for seed in range(4)}} for name, base in (("a", 0), ("b", 1))
    }
    best, worst = ranking(clear).variants
    assert (best.name, best.first, best.kept) == ("b", 1, 1)
    assert (worst.name, worst.first, worst.kept) == ("a", 0, 1)


def test_a_variant_without_a_planned_seed_is_not_ranked_and_takes_none_from_the_others() -> None:
    values = results()
    del values["b"]["rmse"][2]
    values["c"] = {"miou": {}, "rmse": {}}
    found = ranking(values, planned=range(5))
    assert {variant.name for variant in found.variants} == {"a", "d"}
    assert (found.unranked, found.seeds) == (("b", "c"), tuple(range(5)))


def test_without_a_plan_the_seeds_are_those_that_all_have() -> None:
    values = results()
    values["b"]["miou"][2] = math.nan
    values["c"] = {"miou": {}, "rmse": {}}
    found = ranking(values)
    assert (found.unranked, found.seeds) == (("c",), (0, 1, 3, 4))


def test_one_seed_says_nothing_about_stability() -> None:
    for variant in ranking(results(1)).variants:
        assert math.isnan(variant.first)
        assert math.isnan(variant.kept)


def test_nothing_is_ranked_where_no_seed_is_common() -> None:
    assert ranking({"a": {"miou": {0: 1.0}}, "b": {"miou": {1: 1.0}}}).variants == ()
    assert ranking({}).variants == ()


def test_every_variant_has_the_same_metrics() -> None:
    with pytest.raises(ValueError, match="same metrics of every variant, found miou and of b rmse"):
        ranking({"a": {"miou": {0: 1.0}}, "b": {"rmse": {0: 1.0}}})
