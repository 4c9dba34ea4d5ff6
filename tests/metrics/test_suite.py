import math
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics import MeanMetric

from fusionseg.metrics import (
    DepthMetrics,
    MetricSuite,
    NormalsMetrics,
    PanopticQuality,
    RegionMetrics,
    SceneMetrics,
    SemanticMetrics,
)
from fusionseg.metrics.confusion import semantic_sums
from fusionseg.metrics.panoptic import panoptic_figures, panoptic_sums
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.scene import scene_ap, scene_figures, scene_sums
from fusionseg.metrics.semantic import semantic_figures, semantic_per_class
from fusionseg.metrics.suite import total
from fusionseg.sample import OFFSET, VOID, Classes, Prediction, Truth

CLASSES = Classes(("road", "car", "tree"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), things=(1,))


def images(number: int, **left_out: None) -> list[tuple[Prediction, Truth]]:
    rng = np.random.default_rng(0)

    def image(name: str) -> tuple[Prediction, Truth]:
        classes, regions = rng.integers(0, 3, (2, 20, 30)), rng.integers(1, 6, (2, 20, 30))
        classes[0, :3], regions[0, :3] = 255, 0
        parts: dict[str, Any] = {
            "semantic": classes[1],
            "region": regions[1],
            "fused": 2 - classes[1],
            "panoptic": classes[1] * OFFSET + np.where(classes[1] == 1, regions[1], 0),
            "scene": rng.random(3).astype(np.float32),
        }
        return Prediction(
            name, {task: a for task, a in {**parts, **left_out}.items() if a is not None}
        ), Truth(classes[0], regions[0])

    return [image(str(i)) for i in range(number)]


def test_figures_are_those_of_all_measures_over_the_set() -> None:
    measures, pairs = MetricSuite.standard(CLASSES), images(3)
    figures = measures.figures(total(measures.sums(*pair) for pair in pairs))
    answers: list[Any] = [prediction for prediction, _ in pairs]
    truths = [truth for _, truth in pairs]
    semantic, fused = (
        semantic_figures(
            np.sum([semantic_sums(m, t.semantic, 3) for m, t in zip(maps, truths, strict=True)], 0)
        )
        for maps in ([a["semantic"] for a in answers], [a["fused"] for a in answers])
    )
    region = np.sum([region_sums(a["region"], t.region) for a, t in zip(answers, truths, strict=True)], 0)
    panoptic = np.sum(
        [
            panoptic_sums(a["panoptic"], t, len(CLASSES), CLASSES.things)
            for a, t in zip(answers, truths, strict=True)
        ],
        0,
    )
    expected = {
        **semantic,
        **region_figures(region),
        **panoptic_figures(panoptic, CLASSES.things),
        **scene_figures(
            total(scene_sums(a["scene"], t.semantic) for a, t in zip(answers, truths, strict=True))
        ),
        **{f"{name}_fused": fused[name] for name in ("miou", "accuracy")},
    }
    np.testing.assert_equal({name: figures[name] for name in expected}, expected)
    assert figures.keys() - expected.keys() == {
        "boundary_f",
        "boundary_precision",
        "boundary_recall",
        "score",
    }
    assert figures["score"] == pytest.approx(math.sqrt(figures["miou"] * figures["covering"]))


@pytest.mark.parametrize(
    ("absent", "score"),
    [
        (["semantic", "fused", "panoptic"], "covering"),
        (["region", "fused", "panoptic"], "miou"),
        (["semantic", "region", "fused", "panoptic"], "scene_map"),
    ],
)
def test_the_score_of_a_single_task_is_its_own_figure(absent: list[str], score: str) -> None:
    measures = MetricSuite.standard(CLASSES)
    figures = measures.figures(total(measures.sums(*p) for p in images(2, **dict.fromkeys(absent))))
    assert figures["score"] == figures[score]
    assert not any("pq" in name or "fused" in name for name in figures)


def test_what_was_not_measured_has_no_score() -> None:
    measures, (prediction, truth) = MetricSuite.standard(CLASSES), images(1)[0]
    void = Truth(np.full_like(truth.semantic, 255), np.zeros_like(truth.region))
    figures = measures.figures(measures.sums(prediction, void))
    assert math.isnan(figures["miou"])
    assert math.isnan(figures["score"])
    assert math.isnan(measures.figures({})["score"])


def test_sums_are_the_same_in_any_grouping_and_stay_unchanged() -> None:
    measures = MetricSuite.standard(CLASSES)
    each = [measures.sums(*pair) for pair in images(4)]
    before = [{name: value.copy() for name, value in sums.items()} for sums in each]
    whole, parts = total(each), total([total(each[:1]), {}, total(each[1:])])
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-14)
    np.testing.assert_equal(each, before)


def test_figures_of_a_class_are_in_the_order_of_the_classes() -> None:
    measures = MetricSuite.standard(CLASSES)
    added = total(measures.sums(*pair) for pair in images(2))
    added["semantic"][2], added["semantic"][:, 2] = 0, 0
    figures = measures.per_class(added)
    np.testing.assert_equal(figures["iou"], semantic_per_class(added["semantic"])["iou"].tolist())
    assert math.isnan(figures["iou"][2])
    assert not any(map(math.isnan, figures["iou"][:2]))
    true, false, missed, iou = added["panoptic"][1]
    assert figures["pq"][1] == iou / (true + false / 2 + missed / 2)
    np.testing.assert_equal(figures["scene_ap"], scene_ap(added["scene_scores"]).tolist())
    assert measures.per_class({"region": added["region"]}) == {}


def test_the_confusion_matrix_is_that_of_the_classes_and_none_without_them() -> None:
    classes = Classes(("a", "b"), ((0, 0, 0),) * 2)
    suite = MetricSuite.standard(classes)
    truth = Truth(np.array([[0, 0, 1, VOID]]), np.zeros((1, 4), int))
    suite.add(suite.sums(Prediction("a", {"semantic": np.array([[0, 1, 1, 1]])}), truth))
    suite.compute()
    assert suite.confusion().tolist() == [[1, 1], [0, 1]]
    assert suite.confusion({"semantic": np.eye(2)}).tolist() == [[1, 0], [0, 1]]
    assert suite.confusion({"fused": np.eye(2)}) is None
    assert MetricSuite([RegionMetrics()]).confusion({"semantic": np.eye(2)}) is None


def test_a_class_without_segments_has_no_panoptic_quality() -> None:
    measures = MetricSuite.standard(CLASSES)
    added = total(measures.sums(*pair) for pair in images(1))
    added["panoptic"][1] = 0
    assert math.isnan(measures.per_class(added)["pq"][1])


def test_a_task_without_labels_is_left_out_of_the_score() -> None:
    measures, [(prediction, truth)] = MetricSuite.standard(CLASSES), images(1)
    figures = measures.figures(
        measures.sums(prediction, Truth(np.full_like(truth.semantic, 255), truth.region))
    )
    assert math.isnan(figures["miou"])
    assert figures["score"] == figures["covering"] > 0


def test_a_scene_of_a_single_class_is_what_is_likeliest() -> None:
    [(prediction, truth)] = images(1)
    truth.semantic[truth.semantic != 255] = 2
    answer = Prediction("a", {**prediction.maps, "scene": np.array([0.3, 0.3, 0.4], np.float32)})
    suites = [MetricSuite.standard(CLASSES, single=single) for single in (True, False)]
    figures = [measures.figures(measures.sums(answer, truth)) for measures in suites]
    assert [f["scene_accuracy"] for f in figures] == [1, pytest.approx(2 / 3)]


def test_a_scene_of_a_single_image_has_no_score() -> None:
    measures, [(prediction, truth)] = (
        MetricSuite.standard(CLASSES),
        images(1, semantic=None, region=None, fused=None, panoptic=None),
    )
    assert math.isnan(measures.figures(measures.sums(prediction, truth))["score"])


def further(pairs: list[tuple[Prediction, Truth]]) -> list[tuple[Prediction, Truth]]:
    """The same images with depth and normals."""
    rng, with_maps = np.random.default_rng(1), []
    for prediction, truth in pairs:
        depth, normals = rng.uniform(1, 3, (20, 30)), rng.normal(size=(3, 20, 30))
        answers = {
            **prediction.maps,
            "depth": depth * 1.1,
            "normals": normals + rng.normal(size=(3, 20, 30)) / 9,
        }
        maps = {"depth": depth, "normals": normals}
        with_maps.append(
            (Prediction(prediction.name, answers), Truth(truth.semantic, truth.region, maps=maps))
        )
    return with_maps


def everything() -> MetricSuite:
    return MetricSuite([*MetricSuite.standard(CLASSES), DepthMetrics(), NormalsMetrics()])


def added(suite: MetricSuite, pairs: list[tuple[Prediction, Truth]]) -> MetricSuite:
    for pair in pairs:
        suite.add(suite.sums(*pair))
    return suite


def test_what_is_computed_are_the_figures_of_the_added_sums() -> None:
    suite, pairs = everything(), further(images(3))
    whole = total(suite.sums(*pair) for pair in pairs)
    np.testing.assert_equal(added(suite, pairs).compute(), suite.figures(whole))
    suite.reset()
    np.testing.assert_equal(suite.per_class(), suite.per_class(whole))
    np.testing.assert_equal(added(suite, pairs[:1]).compute(), suite.figures(suite.sums(*pairs[0])))


def test_the_sums_of_an_image_are_those_of_the_metrics_whose_answer_there_is() -> None:
    suite = everything()
    [(prediction, truth)] = further(images(1, fused=None, panoptic=None, scene=None))
    assert list(suite.sums(prediction, truth)) == [
        "semantic",
        "region",
        "boundary",
        "depth",
        "normals",
        "normals_angles",
    ]
    assert suite.sums(Prediction("a", {}), truth) == {}


def test_sums_of_other_things_are_left_alone() -> None:
    suite, [pair] = MetricSuite.standard(CLASSES), images(1)
    sums = {**suite.sums(*pair), "terms": np.ones(3)}
    expected = added(MetricSuite.standard(CLASSES), [pair]).compute()
    suite.add(sums)
    np.testing.assert_equal(suite.compute(), expected)
    np.testing.assert_equal(suite.figures(sums), expected)


def test_an_image_without_an_answer_is_not_missed() -> None:
    suite, [(prediction, truth)] = everything(), further(images(1))
    added(suite, [(prediction, truth), (Prediction("b", {}), truth)])
    expected = added(everything(), [(prediction, truth)]).compute()
    np.testing.assert_equal(suite.compute(), expected)


@pytest.mark.parametrize(
    ("absent", "parts"),
    [
        ((), ("miou", "covering")),
        (("region", "fused", "panoptic"), ("miou",)),
        (("semantic", "region", "fused", "panoptic"), ("scene_map", "depth_delta1", "normals_within_11")),
        (("semantic", "region", "fused", "panoptic", "scene"), ("depth_delta1", "normals_within_11")),
    ],
)
def test_the_score_is_that_of_semantic_and_region_or_else_of_all_others(
    absent: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    suite, pairs = everything(), further(images(3, **dict.fromkeys(absent)))
    figures = suite.figures(total(suite.sums(*pair) for pair in pairs))
    assert figures["score"] == pytest.approx(np.prod([figures[name] for name in parts]) ** (1 / len(parts)))
    assert 0 < figures["score"] < 1


def test_a_task_without_labels_is_left_out_of_the_score_of_other_tasks() -> None:
    suite = MetricSuite([DepthMetrics(), NormalsMetrics()])
    [(prediction, truth)] = further(images(1))
    without = Truth(truth.semantic, truth.region, maps={"depth": truth.maps["depth"]})
    figures = suite.figures(suite.sums(prediction, without))
    assert math.isnan(figures["normals_within_11"])
    assert figures["score"] == figures["depth_delta1"] == 1


def test_a_truth_without_regions_scores_no_segment() -> None:
    suite, [(prediction, truth)] = MetricSuite([PanopticQuality(3, (1,))]), images(1)
    without = Truth(truth.semantic, truth.region, has_regions=False)
    sums = suite.sums(prediction, without)
    assert sums["panoptic"].shape == (3, 4)
    assert not sums["panoptic"].any()
    assert suite.sums(prediction, truth)["panoptic"].any()


def test_names_of_metrics_do_not_matter() -> None:
    metrics = {"classes": SemanticMetrics(3), "parts": RegionMetrics(), "a.b": SceneMetrics(3)}
    suite, pairs = MetricSuite(metrics), images(2)
    assert list(suite) == list(metrics.values())
    again = MetricSuite([SemanticMetrics(3), RegionMetrics(), SceneMetrics(3)])
    np.testing.assert_equal(added(suite, pairs).compute(), added(again, pairs).compute())


def test_a_suite_moves_with_its_module_and_is_not_in_checkpoints() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(1, 1, False), MetricSuite.standard(CLASSES)).to("meta")
    assert [metric.device.type for metric in module[1]] == ["meta"] * 6
    assert list(module.state_dict()) == ["0.weight"]


def test_metrics_with_sums_of_the_same_name_are_refused() -> None:
    with pytest.raises(
        ValueError, match="found 'semantic' in SemanticMetrics and SemanticMetrics: leave out"
    ):
        MetricSuite([SemanticMetrics(3), SemanticMetrics(2)])


def test_other_metrics_of_torchmetrics_are_refused() -> None:
    with pytest.raises(TypeError, match=r"derived from fusionseg\.metrics\.ImageMetric, found MeanMetric"):
        MetricSuite([MeanMetric()])  # type: ignore[list-item]


def test_integers_are_added_without_overflow() -> None:
    counts = {"normals_angles": np.array([2**31 - 1], np.int32)}
    assert total([counts, counts])["normals_angles"].tolist() == [2**32 - 2]


def test_figures_of_one_class_only_and_of_none_are_noted() -> None:
    suite = MetricSuite.standard(CLASSES)

    def notes(*shown: int) -> list[str]:
        answers = {
            "semantic": np.zeros((2, 2), int),
            "fused": np.zeros((2, 2), int),
            "scene": np.full(3, 0.5),
        }
        truths = [Truth(np.full((2, 2), i), np.ones((2, 2), int)) for i in shown]
        return suite.notes(CLASSES, total(suite.sums(Prediction("x", answers), truth) for truth in truths))

    assert notes(1, 1) == [
        f"{figure} is measured on one class only: the labels show {CLASSES.names[1]} and no other"
        for figure in ("miou", "scene_map")
    ]
    assert notes(1, 1, 2) == []
    assert notes(255) == [
        f"{figure} is not measured: no image has labels for it" for figure in ("miou", "scene_map")
    ]
    one = Classes(("anything",), ((0, 0, 0),))
    alone = MetricSuite([SemanticMetrics(1)])
    answer = Prediction("x", {"semantic": np.zeros((2, 2), int)})
    sums = alone.sums(answer, Truth(np.zeros((2, 2), int), np.ones((2, 2), int)))
    assert alone.notes(one, sums) == []
