from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MultilabelAccuracy,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)

from fusionseg.metrics.scene import (
    THRESHOLDS,
    SceneMetrics,
    scene_ap,
    scene_ap_bounds,
    scene_figures,
    scene_sums,
)
from fusionseg.metrics.suite import total
from fusionseg.sample import VOID, Counted, Truth

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def label_map(present: Flags, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A map of the present classes, each at least once, with void between."""
    semantic = np.full(64, VOID, np.uint8)
    semantic[: len(present)][present] = np.flatnonzero(present)
    return random.permutation(semantic).reshape(8, 8)


def many_labels(images: int, classes: int, seed: int = 0, sureness: float = 1.0) -> tuple[Floats, Flags]:
    """Probabilities and truths (N, C) of frequent and rare classes; every image shows one, every class is shown."""
    random = np.random.default_rng(seed)
    rate = np.geomspace(0.02, 0.6, classes)
    present = random.random((images, classes)) < rate
    present[np.arange(images), np.arange(images) % classes] = True
    logits = random.normal(0, 1.5, present.shape) + np.log(rate / (1 - rate)) + 3.0 * present
    return (1 / (1 + np.exp(-sureness * logits))).astype(np.float32), present


def one_label(images: int, classes: int, seed: int = 0) -> tuple[Floats, Flags]:
    """Probabilities that add up to 1 and truths (N, C) with one class each, which is the likeliest in about half."""
    random = np.random.default_rng(seed)
    present = random.integers(0, classes, images)[:, None] == np.arange(classes)
    logits = torch.from_numpy(random.normal(0, 1, present.shape) + 2.0 * present).float()
    return logits.softmax(1).numpy(), present


def sums(probabilities: Floats, present: Flags, single: bool = False) -> Counted:
    random = np.random.default_rng(0)
    rows = zip(probabilities, present, strict=True)
    return total(scene_sums(p, label_map(shown, random), single) for p, shown in rows)


def tensors(probabilities: Floats, present: Flags) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(probabilities), torch.from_numpy(present).long()


def slow_ap(probabilities: Floats, present: Flags) -> float:
    """The mean precision at the images that show the class; those of one probability rank as the last of them."""
    hits = [present[probabilities >= p].mean() for p in probabilities[present]]
    return float(np.mean(hits))


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_many_labels_equal_torchmetrics(seed: int) -> None:
    probabilities, present = many_labels(300, 7, seed)
    figures = scene_figures(sums(probabilities, present))
    metrics: dict[str, Any] = {
        "scene_map": MultilabelAveragePrecision(7, thresholds=torch.from_numpy(THRESHOLDS)),
        "scene_f1": MultilabelF1Score(7),
        "scene_accuracy": MultilabelAccuracy(7, average="micro"),
    }
    for name, metric in metrics.items():
        assert figures[name] == pytest.approx(float(metric(*tensors(probabilities, present))), rel=1e-5), name


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_single_label_equal_torchmetrics(seed: int) -> None:
    probabilities, present = one_label(300, 7, seed)
    figures = scene_figures(sums(probabilities, present, single=True))
    answers, truth = torch.from_numpy(probabilities), torch.from_numpy(present.argmax(1))
    assert figures["scene_accuracy"] == pytest.approx(
        float(MulticlassAccuracy(7, average="micro")(answers, truth))
    )
    assert figures["scene_f1"] == pytest.approx(float(MulticlassF1Score(7)(answers, truth)), rel=1e-5)
    assert 0.4 < figures["scene_accuracy"] < 0.9
    binned = MultilabelAveragePrecision(7, thresholds=torch.from_numpy(THRESHOLDS))
    assert figures["scene_map"] == pytest.approx(float(binned(*tensors(probabilities, present))), rel=1e-5)


@pytest.mark.parametrize("classes", [4, 7, 20])
def test_the_share_of_true_classes_among_five_equals_torchmetrics(classes: int) -> None:
    probabilities, present = one_label(300, classes)
    figures = scene_figures(sums(probabilities, present, single=True))
    answers, truth = torch.from_numpy(probabilities), torch.from_numpy(present.argmax(1))
    expected = MulticlassAccuracy(classes, top_k=min(5, classes), average="micro")(answers, truth)
    assert figures["scene_top5"] == pytest.approx(float(expected))
    assert figures["scene_accuracy"] < figures["scene_top5"]
    assert "scene_top5" not in scene_figures(sums(probabilities, present))


@pytest.mark.parametrize("single", [True, False])
def test_the_label_of_a_whole_image_comes_before_its_map(single: bool) -> None:
    void, other = np.full((2, 2), VOID), np.zeros((2, 2), int)
    probabilities, present = one_label(50, 200)
    measured, expected = SceneMetrics(200, single), SceneMetrics(200, single)
    for i, (answer, shown) in enumerate(zip(probabilities, present, strict=True)):
        semantic = (void, other)[i % 2]
        measured.update(answer, Truth(semantic, semantic, maps={"scene": shown.astype(np.float32)}))
        expected.update(answer, Truth(np.full((1, 1), shown.argmax()), void))
    assert measured.compute() == expected.compute()
    assert measured.main == ("scene_accuracy" if single else "scene_map")


def test_an_image_that_shows_none_is_labelled_where_that_is_its_label() -> None:
    void = np.full((2, 2), VOID)
    metric = SceneMetrics(2)
    metric.update(np.array([0.4, 0.6], np.float32), Truth(void, void, maps={"scene": np.zeros(2)}))
    assert metric.compute()["scene_accuracy"] == 0.5


def test_average_precision_is_exact_for_probabilities_rounded_down_to_thresholds() -> None:
    probabilities, present = many_labels(200, 5)
    rounded = np.array([[THRESHOLDS[p >= THRESHOLDS].max() for p in row] for row in probabilities])
    scores = sums(probabilities, present)["scene_scores"]
    np.testing.assert_array_equal(sums(rounded, present)["scene_scores"], scores)
    found = scene_ap(scores)
    np.testing.assert_allclose(found, [slow_ap(rounded[:, c], present[:, c]) for c in range(5)], rtol=1e-12)
    exact = MultilabelAveragePrecision(5, average=None)(*tensors(rounded, present))
    np.testing.assert_allclose(found, exact, rtol=1e-5)


@pytest.mark.parametrize("digits", [1, 2, 7])
@pytest.mark.parametrize("images", [2, 30, 500])
def test_the_exact_average_precision_lies_within_its_bounds(images: int, digits: int) -> None:
    """Of few digits many probabilities are equal."""
    for seed in range(3):
        probabilities, present = many_labels(images, 6, seed)
        probabilities = probabilities.round(digits)
        low, high = scene_ap_bounds(sums(probabilities, present)["scene_scores"])
        exact = np.array(
            [slow_ap(probabilities[:, c], present[:, c]) for c in range(6) if present[:, c].any()]
        )
        shown = present.any(0)
        assert (low[shown] <= exact + 1e-12).all()
        assert (exact <= high[shown] + 1e-12).all()
        assert np.isnan(low[~shown]).all()


def test_bounds_are_those_of_the_worst_and_the_best_order_between_two_thresholds() -> None:
    between = np.linspace(THRESHOLDS[60], THRESHOLDS[61], 6, endpoint=False, dtype=np.float32)[1:, None]
    present = np.array([[True], [False], [True], [False], [False]])
    added = sums(np.hstack([between, between]), np.hstack([present, ~present]))
    low, high = scene_ap_bounds(added["scene_scores"])
    assert low == pytest.approx([(1 / 4 + 2 / 5) / 2, (1 / 3 + 2 / 4 + 3 / 5) / 3])
    assert high == pytest.approx([1, 1])


@pytest.mark.parametrize(("sureness", "error"), [(0.5, 0.01), (1.0, 0.01), (3.0, 0.02)])
def test_thresholds_cost_at_most_two_hundredths_of_the_mean_average_precision(
    sureness: float, error: float
) -> None:
    probabilities, present = many_labels(2000, 40, sureness=sureness)
    exact = float(MultilabelAveragePrecision(40)(*tensors(probabilities, present)))
    found = scene_figures(sums(probabilities, present))["scene_map"]
    assert exact - error < found < exact


def test_classes_that_no_image_shows_are_left_out_of_the_means() -> None:
    probabilities, present = many_labels(60, 4)
    present[:, 1], present[:, 2], present[:, 3] = False, False, True
    probabilities[:, 1] = 0.1
    probabilities[:5, 2] = 0.9
    added = sums(probabilities, present)
    ap, figures = scene_ap(added["scene_scores"]), scene_figures(added)
    assert np.isnan(ap).tolist() == [False, True, True, False]
    assert figures["scene_map"] == pytest.approx((ap[0] + ap[3]) / 2)
    f1 = MultilabelF1Score(4, average=None)(*tensors(probabilities, present))
    assert f1[2] == 0
    assert figures["scene_f1"] == pytest.approx(float(f1[[0, 2, 3]].mean()))


def test_the_likeliest_class_counts_below_a_half_in_the_single_form_alone() -> None:
    probabilities, truth = np.array([0.3, 0.45, 0.25], np.float32), np.full((2, 2), 1)
    figures = [scene_figures(scene_sums(probabilities, truth, single)) for single in (True, False)]
    assert [f["scene_accuracy"] for f in figures] == [1, 2 / 3]
    assert [f["scene_f1"] for f in figures] == [1, 0]


def test_a_half_is_enough_to_be_said() -> None:
    truth = np.zeros((2, 2), np.uint8)
    for probability, right in ((0.5, 1), (np.nextafter(np.float32(0.5), np.float32(0)), 0)):
        found = scene_sums(np.array([probability], np.float32), truth)
        assert scene_figures(found)["scene_accuracy"] == right


@pytest.mark.parametrize(
    ("single", "semantic"), [(False, [VOID, VOID]), (True, [VOID, VOID]), (True, [0, 2])]
)
def test_images_without_labels_add_nothing(single: bool, semantic: list[int]) -> None:
    found = scene_sums(np.array([0.2, 0.7, 0.1], np.float32), np.array([semantic]), single)
    labelled = scene_sums(np.array([0.2, 0.7, 0.1], np.float32), np.array([[1, VOID]]), single)
    assert not any(value.any() for value in found.values())
    assert all(labelled[name].any() for name in found)
    assert {name: (v.shape, v.dtype) for name, v in found.items()} == {
        name: (v.shape, v.dtype) for name, v in labelled.items()
    }
    assert all(np.isnan(figure) for figure in scene_figures(found).values())


def test_one_image_has_no_ranking_but_decisions() -> None:
    probabilities, present = many_labels(2, 3)
    one, two = sums(probabilities[:1], present[:1]), sums(probabilities, present)
    assert np.isnan(scene_figures(one)["scene_map"])
    assert not np.isnan([scene_figures(two)["scene_map"], scene_figures(one)["scene_accuracy"]]).any()


@pytest.mark.parametrize("strange", [-0.1, 1.1, np.nan])
def test_answers_that_are_no_probabilities_are_refused(strange: float) -> None:
    with pytest.raises(ValueError, match=r"expected probabilities in \[0, 1\], found"):
        scene_sums(np.array([0.5, strange], np.float32), np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize("strange", [3, 254, -1])
def test_truth_outside_of_the_classes_is_refused(strange: int) -> None:
    with pytest.raises(ValueError, match=rf"class ids in 0\.\.2 or 255 in the truth, found \[{strange}\]"):
        scene_sums(np.full(3, 0.5, np.float32), np.array([[0, strange]]))
