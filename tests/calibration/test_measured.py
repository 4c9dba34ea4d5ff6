from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from fusionseg.calibration.measured import Calibration, untempered
from fusionseg.config.errors import UserError
from fusionseg.metrics import BoundaryCalibration, ClassCalibration
from fusionseg.metrics.suite import total
from fusionseg.sample import Classes, Prediction, Truth

CLASSES = Classes(("sky", "road", "car"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def images(number: int, temperature: float = 1.0) -> list[tuple[Prediction, Truth]]:
    """Predictions of logits that are divided by a temperature, and labels."""
    rng = np.random.default_rng(0)
    found = []
    for name in range(number):
        logits = rng.normal(0, 3, (3, 8, 9))
        contours = rng.normal(0, 2, (8, 9)) / temperature
        semantic = np.where(rng.random((8, 9)) < 0.7, logits.argmax(0), 255)
        region = np.where(np.arange(9) < 4, 1, 2) * np.ones((8, 1), int)
        maps = {"log_probabilities": log_softmax(logits / temperature, 0), "contour_logits": contours}
        found.append((Prediction(str(name), maps), Truth(semantic, region)))
    return found


def added(pairs: list[tuple[Prediction, Truth]], **options: Any) -> Calibration:
    calibration = Calibration(CLASSES, **options)
    for prediction, truth in pairs:
        calibration.add(prediction, truth)
    return calibration


def test_figures_are_those_of_the_metrics() -> None:
    pairs = images(3)
    expected: dict[str, float] = {}
    for metric in (ClassCalibration(3), BoundaryCalibration(2)):
        expected |= metric.figures(total(metric.sums(p[metric.answer], truth) for p, truth in pairs))
    found = added(pairs, band=2).figures()
    assert found.keys() == {"metrics", "per_class"}
    assert found["metrics"] == pytest.approx(expected)
    assert list(found["per_class"]) == list(CLASSES.names)


def test_with_a_temperature_the_figures_without_it_are_known_too() -> None:
    hot = {"semantic": 2.5, "region": 0.4}
    pairs = [
        (
            Prediction(
                p.name, {"log_probabilities": p["log_probabilities"], "contour_logits": q["contour_logits"]}
            ),
            t,
        )
        for (p, t), (q, _) in zip(images(3, 2.5), images(3, 0.4), strict=True)
    ]
    found = added(pairs, temperatures=hot).figures()
    assert found["temperatures"] == hot
    assert found["untempered"] == pytest.approx(added(images(3)).figures()["metrics"], rel=1e-5)
    assert found["metrics"]["nll"] != pytest.approx(found["untempered"]["nll"], rel=0.1)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_a_temperature_is_taken_back_also_where_probabilities_are_zero(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(0, 30, (4, 5, 6)).astype(np.float32)
    logits[0, 0] = -np.inf
    taken = untempered(log_softmax(logits / temperature, 0).astype(np.float32), temperature)
    np.testing.assert_allclose(taken, log_softmax(logits, 0), rtol=1e-5, atol=1e-4)
    assert untempered(np.array([[3.0, -np.inf]]), 2).tolist() == [[6.0, -np.inf]]


def test_a_model_of_one_task_has_the_figures_of_that() -> None:
    for answer in ("log_probabilities", "contour_logits"):
        pairs = [(Prediction(p.name, {answer: p[answer]}), truth) for p, truth in images(2)]
        found = added(pairs).figures()["metrics"]
        assert all(name.startswith("boundary_") == (answer == "contour_logits") for name in found)
        assert len(found) >= 5


def test_a_model_without_probabilities_is_refused() -> None:
    truth = images(1)[0][1]
    with pytest.raises(UserError, match="predicts neither, only region, panoptic: leave --calibration out"):
        Calibration(CLASSES).add(Prediction("a", {"region": np.ones(1), "panoptic": np.ones(1)}), truth)
