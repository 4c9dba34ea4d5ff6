import numpy as np
import pytest

from fusionseg.metrics.risk_coverage import LEVELS, area_under_risk, risk_counts, risk_coverage


def by_hand(confidence: np.ndarray, wrong: np.ndarray) -> tuple[list[float], list[float]]:
    """Coverage and risk after each prediction, from the most confident one on."""
    order = np.argsort(-confidence, kind="stable")
    coverage, risk = [], []
    errors = 0
    for kept, i in enumerate(order, 1):
        errors += int(wrong[i])
        coverage.append(kept / len(order))
        risk.append(errors / kept)
    return coverage, risk


def spread(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of which no two are of one level, and errors."""
    rng = np.random.default_rng(seed)
    uncertainty = 2.0 ** -rng.permutation(np.linspace(0.1, 20, number))
    return np.log1p(-uncertainty), rng.random(number) < 0.3


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_and_its_area_are_those_of_sorted_predictions(seed: int) -> None:
    logs, wrong = spread(200, seed)
    coverage, risk = by_hand(logs, wrong)
    counts = risk_counts(logs, wrong)
    assert counts.shape == (LEVELS, 2)
    np.testing.assert_allclose(risk_coverage(counts), (coverage, risk), rtol=1e-12)
    area = area_under_risk(counts)
    assert area.area == pytest.approx(np.mean(risk), rel=1e-10)
    assert area.error < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_equal_confidences_count_in_mean_order_and_the_error_holds_for_every_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.choice([0.4, 0.6, 0.9], 60)
    wrong = rng.random(60) < 0.4
    area = area_under_risk(risk_counts(np.log(confidence), wrong))
    found = []
    for _ in range(300):
        order = rng.permutation(60)
        found.append(np.mean(by_hand(confidence[order], wrong[order])[1]))
    assert area.area == pytest.approx(np.mean(found), abs=4 * np.std(found) / np.sqrt(300))
    assert max(abs(value - area.area) for value in found) <= area.error
    worst, best = (
        np.mean(by_hand(confidence[order], wrong[order])[1])
        for order in (np.argsort(~wrong), np.argsort(wrong))
    )
    assert max(worst - area.area, area.area - best) == pytest.approx(area.error)


def test_levels_are_fine_enough_for_many_pixels() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 50_000)
    confidence = 1 / (1 + np.exp(-np.abs(logits)))
    wrong = rng.random(50_000) > confidence
    area = area_under_risk(risk_counts(np.log(confidence).astype(np.float32), wrong))
    exact = np.mean(by_hand(confidence, wrong)[1])
    assert abs(area.area - exact) <= area.error + 1e-6  # of the logarithms in float32
    assert area.error < 0.005 * exact


def test_counts_of_parts_add_up() -> None:
    logs, wrong = spread(100, 7)
    parts = risk_counts(logs[:30], wrong[:30]) + risk_counts(logs[30:], wrong[30:])
    np.testing.assert_array_equal(parts, risk_counts(logs, wrong))


def test_certain_and_impossible_confidences_are_the_first_and_the_last_level() -> None:
    counts = risk_counts(np.array([0.0, -1e-12, -np.inf]), np.array([False, True, True]))
    assert counts[0].tolist() == [2, 1]
    assert counts[-1].tolist() == [1, 1]


def test_nothing_predicted_is_undefined() -> None:
    counts = np.zeros((LEVELS, 2), np.int64)
    assert np.isnan(area_under_risk(counts)).all()
    assert [len(values) for values in risk_coverage(counts)] == [0, 0]
