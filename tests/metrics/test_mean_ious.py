import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from fusionseg.metrics.mean_ious import (
    SemanticTable,
    class_figures,
    image_means,
    mean_iou_figures,
    semantic_sums_of,
    semantic_table,
)
from fusionseg.sample import Counted, IntMap

CLASSES = 6


def maps(seed: int) -> tuple[IntMap, IntMap]:
    """A prediction and a truth in blocks; class 5 occurs in neither, 4 in the prediction alone; 6 is void."""
    random = np.random.default_rng(seed)
    truth = np.kron(random.choice([0, 1, 2, 3, CLASSES], (4, 5)), np.ones((7, 8), np.int64))
    prediction = np.roll(truth, (2, 3), (0, 1))
    prediction[:5, :5] = 4
    return prediction, truth


def added(pairs: list[tuple[IntMap, IntMap]]) -> Counted:
    each = [semantic_sums_of(semantic_table(*pair, CLASSES)) for pair in pairs]
    return {name: np.sum([sums[name] for sums in each], 0) for name in each[0]}


def slow_iou(pairs: list[tuple[IntMap, IntMap]], number: int) -> float:
    """Intersection over union of one class over the images, pixel set by pixel set; NaN if it does not occur."""
    both = sum(((p == number) & (t == number)).sum() for p, t in pairs)
    either = sum((((p == number) | (t == number)) & (t != CLASSES)).sum() for p, t in pairs)
    return both / either if either else np.nan


def slow_means(pairs: list[tuple[IntMap, IntMap]]) -> list[float]:
    ious = [slow_iou(pairs, number) for number in range(CLASSES)]
    return [
        float(np.nanmean(ious)),
        float(np.nan_to_num(ious, nan=0.0).mean()),
        float(np.nan_to_num(ious, nan=1.0).mean()),
    ]


PAIRS = [maps(seed) for seed in range(4)]


def test_every_definition_of_mean_iou_is_that_of_its_words() -> None:
    figures = mean_iou_figures(added(PAIRS))
    over_set = slow_means(PAIRS)
    over_images = np.mean([slow_means([pair]) for pair in PAIRS], 0)
    for i, suffix in enumerate(("", "_absent_zero", "_absent_one")):
        assert figures[f"miou{suffix}"] == pytest.approx(over_set[i], abs=1e-12)
        assert figures[f"miou_images{suffix}"] == pytest.approx(over_images[i], abs=1e-12)
    assert len({round(figures[name], 6) for name in figures if name.startswith("miou")}) == 6


def test_the_other_figures_are_those_of_their_words() -> None:
    figures = mean_iou_figures(added(PAIRS))
    truth = np.concatenate([t.ravel() for _, t in PAIRS])
    prediction = np.concatenate([p.ravel() for p, _ in PAIRS])[truth < CLASSES]
    truth = truth[truth < CLASSES]
    recalls = [(prediction[truth == k] == k).mean() for k in range(4)]
    shares = [(truth == k).mean() for k in range(4)]
    dice = [
        2 * ((prediction == k) & (truth == k)).sum() / ((prediction == k).sum() + (truth == k).sum())
        for k in range(5)
    ]
    assert figures["accuracy"] == pytest.approx((prediction == truth).mean())
    assert figures["mean_accuracy"] == pytest.approx(np.mean(recalls))
    assert figures["fwiou"] == pytest.approx(np.dot(shares, [slow_iou(PAIRS, k) for k in range(4)]))
    assert figures["dice"] == pytest.approx(np.mean(dice))


def band(mask: np.ndarray, distance: int) -> np.ndarray:
    """The official band: the mask without what is left after erosions by 3 x 3 pixels, the rim being contour."""
    padded = np.pad(mask, 1)
    return mask & ~binary_erosion(padded, np.ones((3, 3)), iterations=distance)[1:-1, 1:-1]


def test_boundary_iou_compares_the_bands_of_each_class() -> None:
    share = 0.05
    distance = round(share * float(np.hypot(28, 40)))
    assert distance == 2
    both, either = np.zeros(CLASSES), np.zeros(CLASSES)
    for prediction, truth in PAIRS:
        known = truth < CLASSES
        for number in range(CLASSES):
            first, second = (band((ids == number) & known, distance) for ids in (prediction, truth))
            both[number] += (first & second).sum()
            either[number] += (first | second).sum()
    tables = [semantic_table(*pair, CLASSES, share) for pair in PAIRS]
    found = class_figures(
        np.sum([one.table for one in tables], 0), np.sum([one.boundary for one in tables], 0)
    )
    assert found["boundary_iou"][:5] == pytest.approx(both[:5] / either[:5])
    assert np.isnan(found["boundary_iou"][5])


def test_the_contour_of_void_is_no_mistake() -> None:
    truth = np.zeros((32, 32), int)
    truth[:, 20:] = 1
    predicted = truth.copy()
    truth[10:15] = 2  # void
    table = semantic_table(predicted, truth, 2)
    assert class_figures(table.table, table.boundary)["boundary_iou"].tolist() == [1, 1]


def test_pixels_without_a_predicted_class_are_missed() -> None:
    truth = np.array([[0, 0, 0, 1]])
    table = semantic_table(np.array([[0, 2, 2, 1]]), truth, 2)
    figures = mean_iou_figures(semantic_sums_of(table))
    assert figures["miou"] == pytest.approx((1 / 3 + 1) / 2)
    assert figures["accuracy"] == 0.5


def test_an_image_without_labels_adds_nothing() -> None:
    void = np.full((4, 4), CLASSES)
    nothing = semantic_table(np.zeros((4, 4), int), void, CLASSES)
    assert isinstance(nothing, SemanticTable)
    assert np.isnan(image_means(nothing)).all()
    assert not any(values.any() for values in semantic_sums_of(nothing).values())
    figures = mean_iou_figures(semantic_sums_of(nothing))
    assert np.isnan([*figures.values()]).all()
    with_others = mean_iou_figures(added([*PAIRS, (0 * void, void)]))
    assert with_others == mean_iou_figures(added(PAIRS))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        semantic_table(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(ValueError, match=r"in 0\.\.2, found"):
        semantic_table(np.full((2, 2), 3), np.zeros((2, 2), int), 2)
