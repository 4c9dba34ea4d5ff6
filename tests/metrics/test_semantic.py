from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MulticlassPrecision,
    MulticlassRecall,
)

from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.semantic import semantic_figures, semantic_per_class
from fusionseg.sample import VOID

Maps = npt.NDArray[np.integer[Any]]


def random_maps(
    classes: int, seed: int, missing: tuple[int, ...] = (), unseen: tuple[int, ...] = ()
) -> list[Maps]:
    """Prediction and truth that agree on about half of the pixels; `missing` classes are in neither map.

    `unseen` classes are in the prediction only.
    """
    random = np.random.default_rng(seed)
    everywhere = [c for c in range(classes) if c not in missing]
    truth = random.choice([c for c in everywhere if c not in unseen], (37, 53)).astype(np.uint8)
    prediction = np.where(random.random(truth.shape) < 0.5, truth, random.choice(everywhere, truth.shape))
    truth[random.random(truth.shape) < 0.1] = VOID
    return [prediction.astype(np.uint8), truth]


@pytest.mark.parametrize(
    ("classes", "missing", "unseen"),
    [(1, (), ()), (2, (), ()), (11, (3,), ()), (19, (0, 18), (5, 6)), (254, (9,), ())],
)
def test_figures_equal_torchmetrics(classes: int, missing: tuple[int, ...], unseen: tuple[int, ...]) -> None:
    prediction, truth = random_maps(max(classes, 2), 0, missing, unseen)
    if classes == 1:
        prediction, truth = prediction * 0, np.where(truth == VOID, VOID, 0)
    figures = semantic_figures(semantic_sums(prediction, truth, classes))
    metrics = {
        "miou": MulticlassJaccardIndex(max(classes, 2), ignore_index=VOID),
        "accuracy": MulticlassAccuracy(max(classes, 2), ignore_index=VOID, average="micro"),
        "f1": MulticlassF1Score(max(classes, 2), ignore_index=VOID),
        "precision": MulticlassPrecision(max(classes, 2), ignore_index=VOID),
        "recall": MulticlassRecall(max(classes, 2), ignore_index=VOID),
    }
    for name, metric in metrics.items():
        expected = metric(torch.from_numpy(prediction).long(), torch.from_numpy(truth).long())
        assert figures[name] == pytest.approx(float(expected), rel=1e-5), name


@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_loops_over_classes(seed: int) -> None:
    prediction, truth = random_maps(7, seed, missing=(4,), unseen=(2,))
    table = semantic_sums(prediction, truth, 7)
    per_class, figures = semantic_per_class(table), semantic_figures(table)
    pixels = [
        (p, t) for p, t in zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True) if t != VOID
    ]
    accuracies = []
    for c in range(7):
        hits = sum(p == t == c for p, t in pixels)
        predicted, true = sum(p == c for p, _ in pixels), sum(t == c for _, t in pixels)
        if predicted + true == 0:
            assert all(np.isnan(values[c]) for values in per_class.values())
            continue
        assert per_class["iou"][c] == hits / sum(c in pair for pair in pixels)
        assert per_class["precision"][c] == (hits / predicted if predicted else 0)
        assert per_class["recall"][c] == (hits / true if true else 0)
        assert per_class["f1"][c] == 2 * hits / (predicted + true)
        accuracies += [hits / true] if true else []
    assert figures["mean_accuracy"] == pytest.approx(sum(accuracies) / len(accuracies))
    assert figures["accuracy"] == sum(p == t for p, t in pixels) / len(pixels)
    assert figures["miou"] == pytest.approx(np.nanmean(per_class["iou"]))


def test_class_that_is_only_predicted_is_worth_zero() -> None:
    truth = np.zeros((4, 4), np.uint8)
    prediction = truth.copy()
    prediction[0] = 1
    table = semantic_sums(prediction, truth, 3)
    assert np.array_equal(semantic_per_class(table)["recall"], [0.75, 0, np.nan], equal_nan=True)
    figures = semantic_figures(table)
    assert figures["miou"] == figures["recall"] == 0.75 / 2
    assert figures["mean_accuracy"] == figures["accuracy"] == 0.75


def test_void_alone_gives_undefined_figures() -> None:
    truth = np.full((3, 3), VOID, np.uint8)
    table = semantic_sums(np.zeros_like(truth), truth, 4)
    assert not table.any()
    assert all(np.isnan(figure) for figure in semantic_figures(table).values())


def test_sums_of_images_are_sums_of_their_union() -> None:
    pairs = [random_maps(11, seed) for seed in range(4)]
    parts = sum(semantic_sums(prediction, truth, 11) for prediction, truth in pairs)
    whole = semantic_sums(np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs]), 11)
    assert np.array_equal(parts, whole)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint16])
def test_sums_do_not_depend_on_the_dtype(dtype: type[np.integer]) -> None:
    prediction, truth = random_maps(11, 0)
    assert np.array_equal(
        semantic_sums(prediction.astype(dtype), truth.astype(dtype), 11), semantic_sums(prediction, truth, 11)
    )


def test_prediction_on_void_does_not_matter() -> None:
    prediction, truth = random_maps(11, 0)
    expected = semantic_sums(prediction, truth, 11)
    prediction[truth == VOID] = VOID
    assert np.array_equal(semantic_sums(prediction, truth, 11), expected)


@pytest.mark.parametrize("strange", [11, 254, 255])
def test_prediction_outside_of_the_classes_is_refused(strange: int) -> None:
    prediction, truth = (ids.astype(np.int64) for ids in random_maps(11, 0))
    prediction[truth == 3] = strange
    with pytest.raises(ValueError, match=rf"the prediction holds \[{strange}\]"):
        semantic_sums(prediction, truth, 11)


@pytest.mark.parametrize("strange", [11, 254])
def test_truth_outside_of_the_classes_is_refused(strange: int) -> None:
    prediction, truth = (ids.astype(np.int64) for ids in random_maps(11, 0))
    truth[truth == 3] = strange
    with pytest.raises(ValueError, match=rf"in the truth, found \[{strange}\]"):
        semantic_sums(prediction, truth, 11)


@pytest.mark.parametrize("strange", [-1, 11 + 256])
def test_ids_that_do_not_fit_into_a_byte_are_refused(strange: int) -> None:
    prediction, truth = (ids.astype(np.int64) for ids in random_maps(11, 0))
    wrong = np.where(truth == 3, strange, prediction)
    for answer, labels in ((wrong, truth), (prediction, np.where(truth == 3, strange, truth))):
        with pytest.raises(ValueError, match=r"in 0\.\.255, found"):
            semantic_sums(answer, labels, 11)
