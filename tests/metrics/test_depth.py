from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from fusionseg.metrics import DepthMetrics, DisparityMetrics
from fusionseg.metrics.depth import DEPTH_SUMS, depth_figures, depth_sums
from fusionseg.sample import Truth

Maps = npt.NDArray[np.floating[Any]]


def random_depth(seed: int, shape: tuple[int, ...] = (30, 40)) -> tuple[Maps, Maps]:
    """Prediction and truth in meters, a tenth of which is invalid."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 10, shape)
    truth[rng.random(shape) < 0.1] = 0
    return truth * rng.uniform(0.4, 2.2, shape) + rng.uniform(0, 0.2, shape), truth


def reference(prediction: Tensor, truth: Tensor) -> tuple[float, float]:
    """Absolute and relative error of a batch (B, 1, H, W) as MTAN and LibMTL define them on NYUv2.

    Both sum the errors of the pixels whose truth, summed over channels, is not 0, and divide by their number.
    """
    mask = (truth.sum(1) != 0).unsqueeze(1)
    p, t = prediction.masked_select(mask), truth.masked_select(mask)
    number = torch.nonzero(mask).size(0)
    return ((p - t).abs().sum() / number).item(), (((p - t).abs() / t).sum() / number).item()


def deltas(prediction: Maps, truth: Maps) -> list[float]:
    """The shares of valid pixels within a factor of 1.25, its square and its cube, pixel by pixel."""
    pairs = [
        (p, t) for p, t in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True) if t > 0
    ]
    return [sum(max(p / t, t / p) < 1.25**n for p, t in pairs) / len(pairs) for n in (1, 2, 3)]


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_batch_equal_those_of_libmtl_and_mtan(seed: int) -> None:
    prediction, truth = random_depth(seed, (4, 1, 30, 40))
    sums = np.sum([depth_sums(p[0], t[0]) for p, t in zip(prediction, truth, strict=True)], 0)
    figures = depth_figures(sums)
    absolute, relative = reference(torch.from_numpy(prediction), torch.from_numpy(truth))
    assert figures["depth_abs_error"] == pytest.approx(absolute, abs=1e-6, rel=0)
    assert figures["depth_rel_error"] == pytest.approx(relative, abs=1e-6, rel=0)


@pytest.mark.parametrize("seed", range(3))
def test_root_mean_square_and_accuracies_equal_loops_over_pixels(seed: int) -> None:
    prediction, truth = random_depth(seed)
    figures = depth_figures(depth_sums(prediction, truth))
    valid = truth > 0
    squares = np.square(prediction - truth)[valid]
    assert figures["depth_rmse"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-12)
    found = [figures[f"depth_delta{n}"] for n in (1, 2, 3)]
    assert found == deltas(prediction, truth)
    assert 0 < found[0] < found[1] < found[2] < 1


def test_a_prediction_that_is_exactly_a_factor_off_is_not_within_it() -> None:
    truth = np.full((1, 4), 4.0)
    sums = depth_sums(np.array([[5.0, 3.2, np.nextafter(5, 0), 6.25]]), truth)
    assert dict(zip(DEPTH_SUMS, sums, strict=True))["delta1"] == 1
    assert dict(zip(DEPTH_SUMS, sums, strict=True))["delta2"] == 3


def test_no_factor_leads_from_zero_or_less_to_the_truth() -> None:
    truth = np.full((1, 3), 2.0)
    figures = depth_figures(depth_sums(np.array([[0.0, -2.0, 2.0]]), truth))
    assert [figures[f"depth_delta{n}"] for n in (1, 2, 3)] == [1 / 3] * 3
    assert figures["depth_abs_error"] == pytest.approx((2 + 4 + 0) / 3)
    assert figures["depth_rel_error"] == pytest.approx((1 + 2 + 0) / 3)


def test_errors_of_a_set_are_means_over_its_pixels_and_not_over_its_images() -> None:
    large, small = random_depth(0), random_depth(1, (3, 4))
    metric = DepthMetrics()
    for prediction, truth in (large, small):
        metric.update(prediction, Truth(np.zeros((1, 1), int), np.zeros((1, 1), int), maps={"depth": truth}))
    together = [
        np.concatenate([one.ravel(), other.ravel()])[None] for one, other in zip(large, small, strict=True)
    ]
    expected = depth_figures(depth_sums(together[0], together[1]))
    figures = {name: value.item() for name, value in metric.compute().items()}
    assert figures == pytest.approx(expected, rel=1e-12)


def test_accuracies_of_disparity_are_those_of_the_depth_that_it_stands_for() -> None:
    prediction, depth = random_depth(4)
    metric, other = DepthMetrics(), DisparityMetrics()
    disparity = np.divide(500, depth, out=np.zeros_like(depth), where=depth > 0)
    truth = Truth(np.zeros((1, 1), int), np.zeros((1, 1), int), maps={"depth": depth, "disparity": disparity})
    metric.update(prediction, truth)
    other.update(500 / prediction, truth)
    expected, found = metric.compute(), other.compute()
    assert [found[f"disparity_delta{n}"] for n in (1, 2, 3)] == [
        expected[f"depth_delta{n}"] for n in (1, 2, 3)
    ]
    error = np.abs(500 / prediction - disparity)[depth > 0]
    assert found["disparity_abs_error"] == pytest.approx(error.mean())
    assert found["disparity_rmse"] == pytest.approx(np.sqrt((error**2).mean()))


def test_invalid_pixels_do_not_matter() -> None:
    prediction, truth = random_depth(0)
    expected = depth_sums(prediction, truth)
    prediction[truth == 0] = np.nan
    np.testing.assert_array_equal(depth_sums(prediction, truth), expected)
    assert all(np.isnan(value) for value in depth_figures(depth_sums(prediction, truth * 0)).values())


def test_float32_is_added_in_float64() -> None:
    prediction, truth = np.full((500, 500), 0.1, np.float32), np.full((500, 500), 3, np.float32)
    error = float(np.float64(3) - np.float64(np.float32(0.1)))
    figures = depth_figures(depth_sums(prediction, truth))
    assert figures["depth_abs_error"] == pytest.approx(error, rel=1e-12)
    assert figures["depth_rmse"] == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_is_refused(strange: float) -> None:
    prediction = np.array([[1.0, strange, strange]])
    with pytest.raises(
        ValueError, match="expected finite depth, found NaN or infinity in 1 of 2 valid pixels"
    ):
        depth_sums(prediction, np.array([[1.0, 1.0, 0.0]]))


def test_another_size_than_that_of_the_truth_is_refused() -> None:
    with pytest.raises(ValueError, match=r"truth's shape \(2, 3\), found \(3, 2\): resize"):
        depth_sums(np.ones((3, 2)), np.ones((2, 3)))
