from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from fusionseg.metrics import NormalsMetrics
from fusionseg.metrics.angles import ANGLE_SUMS, BINS, median_angle
from fusionseg.metrics.normals import normals_figures, normals_sums
from fusionseg.metrics.suite import total
from fusionseg.sample import Counted, Truth

Maps = npt.NDArray[np.floating[Any]]


def random_normals(seed: int, shape: tuple[int, ...] = (30, 40)) -> tuple[Maps, Maps]:
    """Predictions (3, H, W) of any length and true unit vectors, a tenth of which is invalid."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(3, *shape))
    truth /= np.linalg.norm(truth, axis=0)
    prediction = (truth + rng.normal(size=truth.shape) / 3) * rng.uniform(0.1, 5, shape)
    truth[:, rng.random(shape) < 0.1] = 0
    return prediction, truth


def turned(degrees: npt.ArrayLike) -> tuple[Maps, Maps]:
    """A prediction (3, 1, N) that is off by these angles, and the truth."""
    angles = np.radians(np.asarray(degrees, np.float64))[None]
    zeros = np.zeros_like(angles)
    return np.stack([np.sin(angles), zeros, np.cos(angles)]), np.stack([zeros, zeros, zeros + 1])


def angles_of(prediction: Tensor, truth: Tensor) -> Maps:
    """The angles in degrees of the valid pixels of a batch (B, 3, H, W) as MTAN and LibMTL define them on NYUv2.

    The prediction is normalized; valid are the pixels whose truth does not add up to 0.
    """
    unit = prediction / prediction.norm(dim=1, keepdim=True)
    cosine = (unit * truth).sum(1).masked_select(truth.sum(1) != 0)
    return np.degrees(cosine.clamp(-1, 1).acos().numpy())


def batch(seed: int) -> tuple[Counted, Maps]:
    """The added sums of a batch of four images, and the reference's angles."""
    pairs = [random_normals(4 * seed + i) for i in range(4)]
    stacked = (torch.from_numpy(np.stack(maps)) for maps in zip(*pairs, strict=True))
    return total(normals_sums(*pair) for pair in pairs), angles_of(*stacked)


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_batch_equal_those_of_libmtl_and_mtan(seed: int) -> None:
    sums, angles = batch(seed)
    figures = normals_figures(sums)
    expected = {
        "normals_mean": np.mean(angles),
        "normals_within_11": np.mean(angles < 11.25),
        "normals_within_22": np.mean(angles < 22.5),
        "normals_within_30": np.mean(angles < 30),
    }
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-6, rel=0), name
    assert figures["normals_median"] == pytest.approx(np.median(angles), abs=0.005, rel=0)
    assert 0 < figures["normals_within_11"] < figures["normals_within_22"] < figures["normals_within_30"] < 1


@pytest.mark.parametrize("number", [1, 2, 3, 10, 11, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_the_median_is_within_half_a_bin_of_the_exact_one(number: int, seed: int) -> None:
    degrees = np.random.default_rng(seed).uniform(0, 180, number)
    found = median_angle(normals_sums(*turned(degrees))["normals_angles"])
    assert abs(found - np.median(degrees)) <= 0.005 + 1e-9


def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() -> None:
    histogram = np.zeros(BINS, np.int64)
    histogram[[100, 300]] = 2
    assert median_angle(histogram) == pytest.approx((1.005 + 3.005) / 2)
    histogram[100] = 3
    assert median_angle(histogram) == pytest.approx(1.005)


def test_the_histogram_holds_all_angles_from_0_to_180() -> None:
    histogram = normals_sums(*turned([0, 180, 90.004, 179.9999]))["normals_angles"]
    assert np.flatnonzero(histogram).tolist() == [0, 9000, BINS - 1]
    assert histogram[[0, 9000, -1]].tolist() == [1, 1, 2]


def test_an_angle_at_a_limit_is_not_below_it() -> None:
    columns = normals_sums(*turned([11, 11.26, 22, 22.51, 29.9, 30.1]))["normals"]
    assert dict(zip(ANGLE_SUMS, columns, strict=True)) == {
        "pixels": 6,
        "angle": pytest.approx(126.77),
        "within_11": 1,
        "within_22": 3,
        "within_30": 5,
    }


@pytest.mark.parametrize("side", ["prediction", "truth"])
def test_lengths_do_not_matter(side: str) -> None:
    prediction, truth = random_normals(0)
    expected = normals_figures(normals_sums(prediction, truth))
    lengths = np.random.default_rng(1).uniform(0.01, 100, truth.shape[1:])
    scaled = (prediction * lengths, truth) if side == "prediction" else (prediction, truth * lengths)
    assert normals_figures(normals_sums(*scaled)) == pytest.approx(expected, rel=1e-9)


def test_perfect_answers_in_float32_have_no_error() -> None:
    truth = random_normals(0)[1].astype(np.float32)
    figures = normals_figures(normals_sums(truth, truth))
    assert figures["normals_mean"] < 1e-5
    assert figures["normals_median"] == 0.005


def test_a_zero_vector_is_a_right_angle_off() -> None:
    figures = normals_figures(normals_sums(np.zeros((3, 2, 2)), np.ones((3, 2, 2))))
    assert figures["normals_mean"] == 90
    assert figures["normals_within_30"] == 0


def test_invalid_pixels_do_not_matter() -> None:
    prediction, truth = random_normals(0)
    expected = normals_sums(prediction, truth)
    prediction[:, ~truth.any(0)] = np.nan
    np.testing.assert_equal(normals_sums(prediction, truth), expected)
    assert all(np.isnan(value) for value in normals_figures(normals_sums(prediction, truth * 0)).values())


def test_valid_normals_may_add_up_to_zero() -> None:
    truth = np.array([1.0, -1.0, 0.0]).reshape(3, 1, 1)
    assert normals_sums(truth, truth)["normals"][0] == 1


def test_errors_of_a_set_are_means_over_its_pixels_and_not_over_its_images() -> None:
    large, small = random_normals(0), random_normals(1, (3, 4))
    metric = NormalsMetrics()
    for prediction, truth in (large, small):
        metric.update(
            prediction, Truth(np.zeros((1, 1), int), np.zeros((1, 1), int), maps={"normals": truth})
        )
    together = [
        np.concatenate([one.reshape(3, 1, -1), other.reshape(3, 1, -1)], 2)
        for one, other in zip(large, small, strict=True)
    ]
    expected = normals_figures(normals_sums(together[0], together[1]))
    figures = {name: value.item() for name, value in metric.compute().items()}
    assert figures == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_is_refused(strange: float) -> None:
    prediction, truth = turned([10, 20])
    prediction[1, 0, 0] = strange
    with pytest.raises(ValueError, match="expected finite normals, found NaN or infinity in 1 of 2 valid"):
        normals_sums(prediction, truth)


@pytest.mark.parametrize("shape", [(3, 3, 2), (2, 2, 3)])
def test_another_size_than_that_of_the_truth_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"normals \(3, H, W\) of the truth's shape \(3, 2, 3\), found"):
        normals_sums(np.ones(shape), np.ones((3, 2, 3)))
