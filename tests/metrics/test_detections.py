from collections.abc import Sequence

import numpy as np
import pytest

from fusionseg.metrics.detections import Detections, average_precision, detections, precision_curve
from fusionseg.metrics.instances import Instances, instances
from fusionseg.sample import IntMap


def random_image(seed: int) -> tuple[IntMap, IntMap, np.ndarray]:
    """Instances of which many pairs have an IoU of exactly 0.5, and confidences of which many are equal."""
    random = np.random.default_rng(seed)
    truth = np.kron(random.integers(0, 6, (3, 5)), np.ones((2, 2), np.int64))
    halves = truth + 6 * (truth > 0) * (random.random(truth.shape) < 0.5)
    prediction = np.where(random.random(truth.shape) < 0.05, 0, halves)
    return truth, prediction, random.integers(0, 4, np.unique(prediction[prediction > 0]).size) / 4


def table(found: Instances, iou: np.ndarray) -> np.ndarray:
    """The values of all pairs, predictions by truths; 0 where they share no pixel."""
    values = np.zeros((found.predictions.size, found.truths.size))
    values[found.prediction, found.truth] = iou
    return values


def official(images: Sequence[tuple[np.ndarray, np.ndarray]], limit: int | None) -> list[float]:
    """Average precision as pycocotools computes it for one class: tables of IoU, and confidences, of images."""
    truths = sum(ious.shape[1] for ious, _ in images)
    precision_of_thresholds = []
    for threshold in np.linspace(0.5, 0.95, 10):
        scores, hits = [], []
        for ious, confidences in images:
            taken = [False] * ious.shape[1]
            for prediction in sorted(range(len(confidences)), key=lambda i: -confidences[i])[:limit]:
                best, match = min(threshold, 1 - 1e-10), -1
                for truth in range(ious.shape[1]):
                    if not taken[truth] and ious[prediction, truth] >= best:
                        best, match = ious[prediction, truth], truth
                if match >= 0:
                    taken[match] = True
                scores.append(confidences[prediction])
                hits.append(match >= 0)
        ranked = [hits[i] for i in sorted(range(len(scores)), key=lambda i: -scores[i])]
        recall = [sum(ranked[: i + 1]) / truths for i in range(len(ranked))]
        precision = [sum(ranked[: i + 1]) / (i + 1 + np.spacing(1)) for i in range(len(ranked))]
        for i in range(len(ranked) - 1, 0, -1):
            precision[i - 1] = max(precision[i - 1], precision[i])
        values = []
        for wanted in np.linspace(0, 1, 101):
            reached = [p for p, r in zip(precision, recall, strict=True) if r >= wanted]
            values.append(reached[0] if reached else 0.0)
        precision_of_thresholds.append(float(np.mean(values)))
    return precision_of_thresholds


def joined(images: Sequence[Detections]) -> Detections:
    return Detections(*(np.concatenate(parts) for parts in zip(*images, strict=True)))


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("seed", range(10))
def test_average_precision_is_that_of_pycocotools(seed: int, limit: int | None) -> None:
    drawn = [random_image(20 * seed + i) for i in range(6)]
    found = [instances(truth, prediction, 1) for truth, prediction, _ in drawn]
    confidences = [scores for *_, scores in drawn]
    truths = sum(image.truths.size for image in found)
    all_of_them = joined(
        [detections(image, scores, limit) for image, scores in zip(found, confidences, strict=True)]
    )
    masks = [table(image, image.iou) for image in found]
    smaller = [table(image, np.minimum(image.iou, image.boundary_iou)) for image in found]
    for ious, of_tables in ((all_of_them.iou, masks), (all_of_them.boundary_iou, smaller)):
        expected = official(list(zip(of_tables, confidences, strict=True)), limit)
        result = average_precision(all_of_them.scores, ious, truths)
        np.testing.assert_allclose(result, expected, atol=1e-12)
        assert 0 < result[0] < 1


def test_random_images_have_pairs_that_compete_at_the_lowest_threshold() -> None:
    competing = 0
    for seed in range(60):
        truth, prediction, _ = random_image(20 * (seed // 6) + seed % 6)
        found = instances(truth, prediction, 1)
        at = found.iou == 0.5
        competing += (
            at.sum() > np.unique(found.truth[at]).size or at.sum() > np.unique(found.prediction[at]).size
        )
    assert competing > 20


def test_the_most_confident_prediction_takes_the_instance() -> None:
    truth = np.array([[1, 1, 1, 1]])
    found = instances(truth, np.array([[5, 5, 6, 6]]), 1)
    for scores in ([0.9, 0.1], [0.1, 0.9], [0.5, 0.5]):
        result = detections(found, np.array(scores))
        assert result.iou.tolist() == [0.5, 0]
        assert result.scores.tolist() == sorted(scores, reverse=True)


def test_precision_counts_until_each_recall() -> None:
    iou = np.array([0.8, 0.0, 0.6])
    result = average_precision(np.array([0.9, 0.8, 0.7]), iou, 2)
    assert result[0] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert result[3] == pytest.approx(51 / 101)
    assert result[-1] == 0


def test_a_threshold_that_is_just_reached_is_a_hit() -> None:
    assert average_precision(np.ones(1), np.array([0.9]), 1).round(12).tolist() == [1] * 9 + [0]


def test_the_least_confident_ones_are_left_out_before_instances_are_taken() -> None:
    found = instances(np.array([[1, 1, 0, 2]]), np.array([[4, 5, 6, 7]]), 1)
    result = detections(found, np.array([0.1, 0.2, 0.3, 0.4]), 3)
    assert result.scores.tolist() == [0.4, 0.3, 0.2]
    assert result.iou.tolist() == [1, 0, 0.5]


def test_nothing_predicted_has_no_precision_and_nothing_true_leaves_it_undefined() -> None:
    nothing = np.zeros(0)
    assert average_precision(nothing, nothing, 3).tolist() == [0] * 10
    assert np.isnan(average_precision(np.ones(2), np.zeros(2), 0)).all()
    empty = np.zeros((3, 3), int)
    assert detections(instances(empty, empty, 1), nothing).iou.size == 0


def test_precision_and_recall_are_those_of_all_predictions_of_at_least_a_confidence() -> None:
    random = np.random.default_rng(0)
    scores, iou = random.integers(0, 5, 40) / 5, random.random(40)
    levels, precision, recall = precision_curve(scores, iou, 30)
    assert levels.tolist() == sorted(set(scores))
    for level, found, reached in zip(levels, precision, recall, strict=True):
        hits = [one >= 0.5 for one, score in zip(iou, scores, strict=True) if score >= level]
        assert found == pytest.approx(sum(hits) / len(hits))
        assert reached == pytest.approx(sum(hits) / 30)


@pytest.mark.parametrize("confidences", [np.ones(1), np.array([0.5, np.nan])])
def test_each_prediction_has_a_finite_confidence(confidences: np.ndarray) -> None:
    found = instances(np.array([[1, 2]]), np.array([[1, 2]]), 1)
    with pytest.raises(ValueError, match="confidence of each of 2 predicted instances, found 1"):
        detections(found, confidences)
