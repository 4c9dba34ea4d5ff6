import numpy as np
import pytest

from fusionseg.metrics import InverseDepthMetrics
from fusionseg.metrics.inverse_depth import inverse_depth_sums
from fusionseg.sample import Truth


@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_two_images_equals_a_loop_over_their_valid_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = InverseDepthMetrics()
    errors = []
    for shape in ((7, 9), (20, 11)):
        truth = rng.uniform(0.5, 10, shape)
        truth[rng.random(shape) < 0.2] = 0
        prediction = rng.uniform(-1, 12, shape)
        labels = np.zeros(shape, int)
        metric.update(prediction, Truth(labels, labels, maps={"depth": truth}))
        for p, t in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True):
            if t > 0:
                errors.append(abs(1 / max(p, 0.001) - 1 / t))
    assert metric.compute()["inverse_depth_error"].item() == pytest.approx(
        sum(errors) / len(errors), rel=1e-12
    )


def test_depth_of_another_size_or_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\), found \(3, 2\): resize the prediction"):
        inverse_depth_sums(np.ones((3, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="found NaN or infinity in 1 of 2 valid pixels"):
        inverse_depth_sums(np.array([np.nan, np.inf, 1.0]), np.array([0.0, 1.0, 1.0]))
