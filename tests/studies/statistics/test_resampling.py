import math

import numpy as np
import pytest
from scipy import stats

from fusionseg.studies.statistics import ImageResampling
from fusionseg.studies.statistics.resampling import Floats


def all_weights(resampling: ImageResampling, chunk: int = 256) -> Floats:
    return np.concatenate(list(resampling.weights(chunk)))


SEQUENCES = ["a"] * 40 + ["b"] * 25
CITIES = [number % 12 for number in range(60)]


@pytest.mark.parametrize("groups", [None, SEQUENCES, CITIES])
def test_draws_are_the_same_at_every_call_and_in_any_chunks(groups: list[object] | None) -> None:
    resampling = ImageResampling(len(groups or range(30)), groups, resamples=50, seed=3)
    weights = all_weights(resampling)
    assert weights.shape == (50, resampling.images)
    np.testing.assert_array_equal(weights, all_weights(resampling, chunk=7))
    other = ImageResampling(resampling.images, groups, resamples=50, seed=4)
    assert (weights != all_weights(other)).any()


def test_images_are_drawn_independently_and_with_replacement() -> None:
    weights = all_weights(ImageResampling(20, resamples=20_000))
    assert (weights.sum(1) == 20).all()
    # the counts of a multinomial distribution: variance 1 - 1 / n, covariance -1 / n
    covariance = np.cov(weights.T)
    expected = np.eye(20) - 1 / 20
    np.testing.assert_allclose(covariance, expected, atol=0.05)


def test_ten_groups_and_more_are_drawn_as_a_whole() -> None:
    resampling = ImageResampling(60, CITIES)
    assert (resampling.unit, resampling.groups, resampling.freedom, resampling.note) == ("group", 12, 11, "")
    weights = all_weights(resampling)
    for city in range(12):
        members = weights[:, city::12]
        assert (members == members[:, :1]).all()
    assert (weights[:, :12].sum(1) == 12).all()


def test_within_few_groups_blocks_of_neighbors_are_drawn() -> None:
    resampling = ImageResampling(65, SEQUENCES)
    assert (resampling.unit, resampling.groups) == ("block", 2)
    assert resampling.note == "within these sequences only"
    weights = all_weights(resampling)
    # every group keeps its number of frames, every frame is drawn as often as any
    assert (weights[:, :40].sum(1) == 40).all()
    assert (weights[:, 40:].sum(1) == 25).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.1)
    # in blocks of 8 frames of 40, next ones come together in 7 of 8 cases, and those 8 apart in none
    correlation = np.corrcoef(weights[:, :40].T)
    for apart in range(8):
        # the covariance of one block's frames is (8 - apart) / 40 - 8 * 8 / 40^2
        expected = ((8 - apart) / 40 - 0.04) / (8 / 40 - 0.04)
        assert np.diag(correlation, apart).mean() == pytest.approx(expected, abs=0.03)
    assert np.diag(correlation, 8).mean() == pytest.approx(-0.25, abs=0.03)


def test_groups_need_not_stand_together() -> None:
    mixed = ["a", "b"] * 32
    weights = all_weights(ImageResampling(64, mixed))
    apart = all_weights(ImageResampling(64, sorted(mixed)))
    np.testing.assert_array_equal(weights[:, ::2], apart[:, :32])
    np.testing.assert_array_equal(weights[:, 1::2], apart[:, 32:])


def test_few_images_without_groups_speak_of_themselves_only() -> None:
    assert ImageResampling(9).note == "within these images only"
    assert ImageResampling(10).note == ""


@pytest.mark.parametrize("groups", [["a"], ["a", "a", "b"], list("aabbccddd")])
def test_groups_in_which_nothing_can_be_drawn_have_no_interval(groups: list[str]) -> None:
    resampling = ImageResampling(len(groups), groups)
    assert resampling.note == "no interval: too few images"
    assert all(math.isnan(end) for end in resampling.quantiles(np.arange(100.0)))


def test_the_quantiles_of_many_images_are_percentiles() -> None:
    values = np.random.default_rng(0).normal(size=4000)
    found = ImageResampling(100_000).quantiles(values, 0.9)
    assert found == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), abs=1e-3)


def test_the_quantiles_of_few_images_are_as_wide_as_students_t() -> None:
    # a normal distribution with the spread that resampled means of 12 values have: its quantiles are t's
    spread = math.sqrt(11 / 12)
    values = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * spread
    _, high = ImageResampling(12).quantiles(values, 0.95)
    assert high == pytest.approx(stats.t.ppf(0.975, 11), rel=1e-3)


def test_resamples_without_a_value_are_left_out_of_the_quantiles() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    resampling = ImageResampling(50)
    assert resampling.quantiles(np.append(values, [np.nan] * 99)) == resampling.quantiles(values)
    assert all(math.isnan(end) for end in resampling.quantiles(np.full(10, np.nan)))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the group of each of 3 images, found 2 groups"):
        ImageResampling(3, ["a", "b"])
    with pytest.raises(ValueError, match="expected images and resamples, found 0 and 2000"):
        ImageResampling(0)
