import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from fusionseg.metrics.reliability import calibration_error, reliability


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_the_error_is_that_of_torchmetrics(bins: int) -> None:
    rng = np.random.default_rng(bins)
    probability = rng.random(500)
    occurred = rng.random(500) < probability**2
    expected = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(occurred).int(), bins)
    found = calibration_error(reliability(probability, occurred, bins))
    assert found == pytest.approx(float(expected), rel=1e-6)  # which is in float32


def test_a_table_is_what_a_loop_over_bins_finds() -> None:
    rng = np.random.default_rng(1)
    probability = np.concatenate([rng.random(200), [0.0, 1.0, 1.0]])
    occurred = rng.random(203) < 0.4
    table = reliability(probability, occurred, 10)
    for i, row in enumerate(table):
        inside = (probability >= i / 10) & ((probability < (i + 1) / 10) | (i == 9))
        expected = [inside.sum(), probability[inside].sum(), occurred[inside].sum()]
        np.testing.assert_allclose(row, expected, rtol=1e-12)


def test_an_error_is_that_of_the_added_tables() -> None:
    rng = np.random.default_rng(2)
    probability = rng.random((2, 50))
    occurred = rng.random((2, 50)) < 0.5
    added = sum(reliability(p, o, 15) for p, o in zip(probability, occurred, strict=True))
    whole = reliability(probability.ravel(), occurred.ravel(), 15)
    np.testing.assert_allclose(added, whole)
    assert calibration_error(np.stack([whole, whole])).shape == (2,)


def test_nothing_predicted_is_undefined() -> None:
    assert np.isnan(calibration_error(reliability(np.zeros(0), np.zeros(0, bool), 15)))
