import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torchmetrics.detection import PanopticQuality

from fusionseg.metrics.panoptic import OFFSET, panoptic_figures, panoptic_sums
from fusionseg.sample import VOID, Classes, Truth

Map = npt.NDArray[np.integer[Any]]


class Official(NamedTuple):
    """A panoptic map as COCO stores it: segment ids (H, W), 0 for void, and what each of them is."""

    ids: Map
    category: dict[int, int]
    crowd: frozenset[int] = frozenset()

    def truth(self) -> Truth:
        """The same in this project's terms."""
        semantic, crowd = np.full(self.ids.shape, VOID, np.uint8), np.full(self.ids.shape, VOID, np.uint8)
        region = np.zeros(self.ids.shape, np.uint16)
        for number, (segment, category) in enumerate(self.category.items(), 1):
            semantic[self.ids == segment] = category
            if segment in self.crowd:
                crowd[self.ids == segment] = category
            else:
                region[self.ids == segment] = number
        return Truth(semantic, region, crowd if self.crowd else None)

    def panoptic(self) -> Map:
        """The same as a prediction, in which every segment has an instance of its own."""
        result = np.full(self.ids.shape, -1, np.int64)
        for number, (segment, category) in enumerate(self.category.items()):
            result[self.ids == segment] = category * OFFSET + number
        return result


def classes_of(number: int, things: tuple[int, ...]) -> Classes:
    return Classes(tuple(f"class {i}" for i in range(number)), ((0, 0, 0),) * number, things)


def slow_sums(prediction: Official, truth: Official, num_classes: int) -> npt.NDArray[np.float64]:
    """COCO's rules, one pair of segments at a time."""
    sums = np.zeros((num_classes, 4))
    matched_true, matched_predicted = set(), set()
    for t, category in truth.category.items():
        for p, predicted_category in prediction.category.items():
            if t in truth.crowd or category != predicted_category:
                continue
            true, predicted = truth.ids == t, prediction.ids == p
            union = true.sum() + (predicted & (truth.ids != 0)).sum() - (true & predicted).sum()
            iou = (true & predicted).sum() / union
            if iou > 0.5:
                sums[category] += (1, 0, 0, iou)
                matched_true.add(t)
                matched_predicted.add(p)
    for t in set(truth.category) - matched_true - truth.crowd:
        sums[truth.category[t]] += (0, 0, 1, 0)
    for p in set(prediction.category) - matched_predicted:
        category, predicted = prediction.category[p], prediction.ids == p
        crowds = [t for t in truth.crowd if truth.category[t] == category]
        forgiven = (predicted & np.isin(truth.ids, [0, *crowds])).sum()
        if forgiven <= predicted.sum() / 2:
            sums[category] += (0, 1, 0, 0)
    return sums


def perturbed(truth: Official, num_classes: int, seed: int) -> Official:
    """A prediction made of a truth: shifted, some segments merged, split, renamed to another class or left void.

    Crowds are answered by one segment each, so that some are forgiven; a block of another class lies over everything.
    """
    random = np.random.default_rng(seed)
    ids = np.roll(truth.ids, random.integers(0, 4, 2), (0, 1))
    category, fresh = dict(truth.category), 1 << 24
    for segment in truth.category:
        match random.integers(0, 8):
            case 0:
                category[segment] = int(random.integers(num_classes))
            case 1:
                others = [s for s, c in category.items() if c == category[segment]]
                ids[ids == segment] = random.choice(others)
            case 2:
                cut = np.nonzero(ids == segment)[1]
                if cut.size:
                    ids[(ids == segment) & (np.arange(ids.shape[1]) > np.median(cut))] = fresh
                    category[fresh] = category[segment]
                    fresh += 1
            case 3 if segment not in truth.crowd:
                ids[ids == segment] = 0
    height, width = ids.shape
    ids[height // 3 : height // 2, : width // 4] = fresh
    category[fresh] = int(random.integers(num_classes))
    ids[(ids == 0) & (np.arange(width) < width // 2)] = fresh + 1
    category[fresh + 1] = int(random.integers(num_classes))
    return Official(ids, {segment: category[segment] for segment in np.unique(ids).tolist() if segment})


def random_truth(seed: int, num_classes: int, things: tuple[int, ...]) -> Official:
    """Blocks of things, of stuff (one segment for each class), void, and crowds of some of the things."""
    random = np.random.default_rng(seed)
    category = {i + 1: things[i % len(things)] for i in range(3 * len(things))}
    category |= {100 + c: c for c in range(num_classes) if c not in things}
    ids: Map = (
        np.array([0, *category])[random.integers(0, len(category) + 1, (6, 7))].repeat(9, 0).repeat(10, 1)
    )
    category = {segment: category[segment] for segment in np.unique(ids).tolist() if segment}
    return Official(ids, category, frozenset(segment for segment in (1, 2) if segment in category))


def coco(folder: Path) -> tuple[Classes, list[Official]]:
    """All truths of a folder of panoptic annotations and the file beside it, with categories counted from 0."""
    content = json.loads(folder.with_suffix(".json").read_text())
    order = {c["id"]: i for i, c in enumerate(content["categories"])}
    truths = []
    for entry in content["annotations"]:
        with Image.open(folder / entry["file_name"]) as image:
            ids = np.asarray(image.convert("RGB"), np.int64) @ np.array([1, 256, 65536])
        segments = entry["segments_info"]
        crowd = frozenset(s["id"] for s in segments if s["iscrowd"])
        truths.append(Official(ids, {s["id"]: order[s["category_id"]] for s in segments}, crowd))
    return classes_of(
        len(order), tuple(order[c["id"]] for c in content["categories"] if c["isthing"])
    ), truths


def data(folder: str) -> Path:
    if "FUSIONSEG_DATA" not in os.environ:
        pytest.skip("FUSIONSEG_DATA does not name the folder of the data sets")
    return Path(os.environ["FUSIONSEG_DATA"]) / folder


@pytest.mark.parametrize("seed", range(20))
def test_sums_equal_official_rules_on_random_maps(seed: int) -> None:
    classes = classes_of(6, (0, 2, 5))
    truth = random_truth(seed, 6, classes.things)
    prediction = perturbed(truth, 6, seed)
    found = panoptic_sums(prediction.panoptic(), truth.truth(), len(classes), classes.things)
    assert found == pytest.approx(slow_sums(prediction, truth, 6), rel=1e-12)


def test_random_maps_meet_every_rule() -> None:
    truths = [random_truth(seed, 6, (0, 2, 5)) for seed in range(20)]
    predictions = [perturbed(truth, 6, seed) for seed, truth in enumerate(truths)]
    sums = [slow_sums(*pair, 6).sum(0) for pair in zip(predictions, truths, strict=True)]
    forgiven = [
        len(p.category) - hits - wrong for p, (hits, wrong, _, _) in zip(predictions, sums, strict=True)
    ]
    assert all(np.sum(sums, 0)[:3] > 20)
    assert sum(forgiven) > 5
    uncrowded = [t._replace(crowd=frozenset()) for t in truths]
    nothing_void = [t._replace(ids=np.where(t.ids == 0, 999, t.ids)) for t in truths]
    for changed in (uncrowded, nothing_void):
        others = [slow_sums(*pair, 6).sum(0) for pair in zip(predictions, changed, strict=True)]
        assert not np.array_equal(np.sum(others, 0), np.sum(sums, 0))


@pytest.mark.parametrize(("void", "wrong"), [(4, 1), (5, 0)])
def test_only_more_than_half_on_void_is_forgiven(void: int, wrong: int) -> None:
    truth, prediction = Official(np.repeat([[0, 1]], [void, 8 - void], 1), {1: 1}), np.zeros((1, 8), np.int64)
    assert panoptic_sums(prediction, truth.truth(), 2, (0,)).tolist() == [
        [0, wrong, 0, 0],
        [0, 0, 1, 0],
    ]


def test_sums_equal_official_rules_on_perturbed_coco() -> None:
    classes, truths = coco(data("coco_panoptic/annotations") / "panoptic_val2017")
    crowded = [truth for truth in truths if truth.crowd]
    chosen = [*crowded[:4], *(truth for truth in truths if not truth.crowd)][:7]
    assert len(crowded) == 5
    total = np.zeros((len(classes), 4))
    for seed, truth in enumerate(chosen):
        prediction = perturbed(truth, len(classes), seed)
        found = panoptic_sums(prediction.panoptic(), truth.truth(), len(classes), classes.things)
        assert found == pytest.approx(slow_sums(prediction, truth, len(classes)), rel=1e-12)
        total += found
    assert all(total.sum(0) > 10)


def test_coco_against_itself_is_perfect() -> None:
    classes, official = coco(data("coco_panoptic/annotations") / "panoptic_val2017")
    truths = [truth.truth() for truth in official[:30]]
    sums = [
        panoptic_sums(truth.panoptic(classes.things), truth, len(classes), classes.things) for truth in truths
    ]
    segments = sum(len(truth.category) - len(truth.crowd) for truth in official[:30])
    assert np.sum(sums, (0, 1)).tolist() == [segments, 0, 0, segments]
    assert set(panoptic_figures(np.sum(sums, 0), classes.things).values()) == {1.0}


def test_official_example_against_itself_is_perfect_on_eight_classes() -> None:
    classes, official = coco(data("panoptic_sample/sample_data") / "panoptic_examples")
    sums = np.sum([panoptic_sums(o.panoptic(), o.truth(), len(classes), classes.things) for o in official], 0)
    counted = np.flatnonzero(sums.any(1))
    assert (len(counted), np.isin(counted, classes.things).sum()) == (8, 4)
    assert set(panoptic_figures(sums, classes.things).values()) == {1.0}


def test_figures_equal_torchmetrics_where_prediction_has_no_void() -> None:
    classes = classes_of(6, (0, 2, 5))
    total = np.zeros((6, 4))
    metric = PanopticQuality({0, 2, 5}, {1, 3, 4}, allow_unknown_preds_category=True, return_sq_and_rq=True)
    for seed in range(5):
        official = random_truth(seed, 6, classes.things)._replace(crowd=frozenset())
        truth, prediction = official.truth(), perturbed(official, 6, seed).panoptic()
        prediction[prediction < 0] = 3 * OFFSET
        prediction[prediction // OFFSET == 3] = 3 * OFFSET
        merged = np.where(
            np.isin(prediction // OFFSET, classes.things), prediction, prediction // OFFSET * OFFSET
        )
        target = truth.panoptic(classes.things)
        metric.update(
            *(torch.from_numpy(np.stack([m // OFFSET, m % OFFSET], -1))[None] for m in (merged, target))
        )
        total += panoptic_sums(merged, truth, len(classes), classes.things)
    figures = panoptic_figures(total, classes.things)
    assert [figures["pq"], figures["sq"], figures["rq"]] == pytest.approx(metric.compute().tolist(), rel=1e-6)


def test_truth_has_segments_of_things_by_region_and_class_and_of_stuff_by_class() -> None:
    semantic = np.array([[0, 0, 1, 1], [0, 0, 1, VOID], [2, 2, 2, 2]])
    region = np.array([[1, 2, 2, 7], [1, 0, 2, 2], [3, 4, 0, 2]])
    crowd = np.full((3, 4), VOID)
    crowd[0, 3] = 1
    found = Truth(semantic, region, crowd).panoptic((0, 1))
    stuff = 2 * OFFSET
    assert found.tolist() == [[1, 2, OFFSET + 2, -1], [1, -1, OFFSET + 2, -1], [stuff] * 4]


def test_figures_leave_out_classes_that_do_not_count() -> None:
    sums = np.array([[2, 1, 1, 1.5], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    figures = panoptic_figures(sums, (0, 1))
    assert (figures["pq_things"], figures["sq_things"], figures["rq_things"]) == (0.5, 0.75, 2 / 3)
    assert (figures["pq_stuff"], figures["sq_stuff"], figures["rq_stuff"]) == (0, 0, 0)
    assert (figures["pq"], figures["sq"], figures["rq"]) == (0.25, 0.375, 1 / 3)
    assert all(np.isnan(figure) for figure in panoptic_figures(np.zeros((4, 4)), (0,)).values())
    assert np.isnan(panoptic_figures(sums[:1], (0,))["pq_stuff"])


@pytest.mark.parametrize("strange", [-2, -OFFSET - 1, 6 * OFFSET])
def test_prediction_outside_of_the_classes_is_refused(strange: int) -> None:
    with pytest.raises(ValueError, match=r"with classes 0\.\.5, or -1 for void, in the prediction, found"):
        panoptic_sums(np.full((2, 2), strange), Truth(*np.ones((2, 2, 2), np.uint8)), 6, (0, 2, 5))


@pytest.mark.parametrize(
    ("semantic", "region", "message"),
    [(6, 1, "in the truth, found 393216"), (0, 65536, r"region ids in 0\.\.65535, found 65536\.\.65536")],
)
def test_strange_truth_is_refused(semantic: int, region: int, message: str) -> None:
    truth = Truth(np.full((2, 2), semantic), np.full((2, 2), region))
    with pytest.raises(ValueError, match=message):
        panoptic_sums(np.zeros((2, 2), np.int64), truth, 6, (0, 5))
