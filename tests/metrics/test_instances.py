from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from fusionseg.metrics.instances import (
    THRESHOLDS,
    aggregated_jaccard,
    dsb_counts,
    dsb_scores,
    instance_figures,
    instance_sums,
    instances,
)
from fusionseg.metrics.mask_boundaries import boundary_distance
from fusionseg.sample import Counted, IntMap

Pixels = set[int]


def masks(ids: IntMap) -> list[Pixels]:
    """The pixels of each instance, by ascending id."""
    return [set(np.flatnonzero(ids == number).tolist()) for number in np.unique(ids[ids != 0])]


def overlap(a: Pixels, b: Pixels) -> float:
    return len(a & b) / len(a | b)


def random_maps(seed: int, shape: tuple[int, int] = (6, 8)) -> tuple[IntMap, IntMap]:
    """Maps of few large and small instances, of which many pairs have an IoU of exactly 0.5."""
    random = np.random.default_rng(seed)
    truth = np.kron(random.integers(0, 5, (shape[0] // 2, shape[1] // 2)), np.ones((2, 2), np.int64))
    prediction = np.where(random.random(shape) < 0.2, random.integers(0, 9, shape), truth)
    prediction[:, : shape[1] // 4] *= 3
    return 7 * truth, prediction


def counted(truth: IntMap, prediction: IntMap, threshold: float) -> list[int]:
    """Hits, false and missed instances as the competition describes them."""
    true, predicted = masks(truth), masks(prediction)
    found_truth, found_prediction, hits = set(), set(), 0
    for i, a in enumerate(true):
        for j, b in enumerate(predicted):
            if overlap(a, b) > threshold:
                hits += 1
                found_truth.add(i)
                found_prediction.add(j)
    return [hits, len(predicted) - len(found_prediction), len(true) - len(found_truth)]


def jaccard(truth: IntMap, prediction: IntMap) -> float:
    """The aggregated Jaccard index as the authors' code of July 2018 has it, mask by mask."""
    true, predicted = masks(truth), masks(prediction)
    uses = [0] * len(predicted)
    intersection = union = 0
    for nucleus in reversed(true):
        best, highest = -1, 0.0
        for j, candidate in enumerate(predicted):
            if nucleus & candidate and overlap(nucleus, candidate) > highest:
                best, highest = j, overlap(nucleus, candidate)
        if best < 0:
            union += len(nucleus)
            continue
        intersection += len(nucleus & predicted[best])
        union += len(nucleus | predicted[best])
        uses[best] += 1
    union += sum(len(candidate) for candidate, used in zip(predicted, uses, strict=True) if not used)
    return intersection / union


def band(ids: IntMap, number: int, distance: int) -> Pixels:
    mask = ids == number
    inner = binary_erosion(mask, np.ones((3, 3)), iterations=distance)
    return set(np.flatnonzero(mask & ~inner).tolist())


def figures(pairs: list[tuple[IntMap, IntMap]]) -> dict[str, float]:
    each: list[Counted] = [
        instance_sums(instances(*pair, boundary_distance(pair[0].shape))) for pair in pairs
    ]
    return instance_figures({name: np.sum([sums[name] for sums in each], 0) for name in each[0]})


@pytest.mark.parametrize("seed", range(8))
def test_overlaps_and_boundary_overlaps_of_all_pairs_are_those_of_their_masks(seed: int) -> None:
    truth, prediction = random_maps(seed, (14, 20))
    found = instances(truth, prediction, 2)
    pairs = {}
    for number in np.unique(truth[truth != 0]):
        for other in np.unique(prediction[prediction != 0]):
            if (shared := (truth == number) & (prediction == other)).any():
                union = (truth == number) | (prediction == other)
                bands = band(truth, number, 2), band(prediction, other, 2)
                pairs[number, other] = (shared.sum(), shared.sum() / union.sum(), overlap(*bands))
    named = zip(found.truths[found.truth], found.predictions[found.prediction], strict=True)
    assert dict(zip(named, zip(*found[-3:], strict=True), strict=True)) == pairs
    assert found.truth_area.tolist() == [len(mask) for mask in masks(truth)]
    assert found.prediction_area.tolist() == [len(mask) for mask in masks(prediction)]


def test_counts_and_scores_are_those_of_the_data_science_bowl() -> None:
    for seed in range(40):
        truth, prediction = random_maps(seed)
        counts = dsb_counts(instances(truth, prediction, 1))
        expected = [counted(truth, prediction, threshold) for threshold in np.arange(10, 20) / 20]
        assert counts.tolist() == expected
        assert dsb_scores(counts).tolist() == [
            hits / (hits + wrong + missed) for hits, wrong, missed in expected
        ]


@pytest.mark.parametrize("twentieths", range(10, 20))
def test_an_overlap_that_is_equal_to_a_threshold_is_no_hit(twentieths: int) -> None:
    truth = np.ones((1, 40), int)
    prediction = np.ones((1, 40), int)
    prediction[:, 2 * twentieths :] = 0
    hits = dsb_counts(instances(truth, prediction, 1))[:, 0]
    assert hits.sum() == twentieths - 10
    assert THRESHOLDS.tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def test_the_jaccard_index_is_that_of_its_authors() -> None:
    for seed in range(40):
        truth, prediction = random_maps(seed)
        assert aggregated_jaccard(instances(truth, prediction, 1)) == jaccard(truth, prediction)


def test_a_prediction_may_be_joined_with_several_nuclei_and_counts_each_time() -> None:
    truth = np.array([[1, 1, 1, 2, 2, 0]])
    assert aggregated_jaccard(instances(truth, np.array([[4, 4, 4, 4, 4, 0]]), 1)) == (3 + 2) / (5 + 5)
    assert aggregated_jaccard(instances(truth, np.array([[4, 4, 4, 0, 0, 5]]), 1)) == 3 / (3 + 2 + 1)


@pytest.mark.parametrize("seed", range(5))
def test_figures_of_a_set_are_means_over_its_images_and_over_matched_pairs(seed: int) -> None:
    pairs = [random_maps(10 * seed + i, (14, 20)) for i in range(4)]
    result = figures(pairs)
    scores = np.zeros((len(pairs), 10))
    bands = []
    for i, (truth, prediction) in enumerate(pairs):
        for t, threshold in enumerate(np.arange(10, 20) / 20):
            counts = counted(truth, prediction, threshold)
            scores[i, t] = counts[0] / sum(counts)
        for number in np.unique(truth[truth != 0]):
            for other in np.unique(prediction[prediction != 0]):
                both = (truth == number) & (prediction == other)
                if 2 * both.sum() > ((truth == number) | (prediction == other)).sum():
                    bands.append(overlap(band(truth, number, 1), band(prediction, other, 1)))
    assert result == pytest.approx(
        {
            "dsb_ap": scores.mean(),
            "dsb_ap50": scores[:, 0].mean(),
            "dsb_ap75": scores[:, 5].mean(),
            "aji": np.mean([jaccard(*pair) for pair in pairs]),
            "boundary_iou": np.mean(bands),
        },
        abs=1e-12,
    )


def test_an_image_without_instances_is_right_if_nothing_is_predicted() -> None:
    nothing, one = np.zeros((4, 5), int), np.pad(np.ones((2, 2), int), 1)[:, :5]
    one = np.pad(one, ((0, 0), (0, 1)))
    empty = figures([(nothing, nothing)])
    assert (empty["dsb_ap"], empty["aji"]) == (1, 1)
    assert np.isnan(empty["boundary_iou"])
    for pair in ((nothing, one), (one, nothing)):
        wrong = figures([pair])
        assert (wrong["dsb_ap"], wrong["dsb_ap50"], wrong["aji"]) == (0, 0, 0)
    assert figures([(nothing, nothing), (one, nothing)])["dsb_ap"] == 0.5


def test_no_image_gives_undefined_figures() -> None:
    nothing = np.zeros((2, 2), int)
    zeros = {name: 0 * value for name, value in instance_sums(instances(nothing, nothing, 1)).items()}
    assert all(np.isnan(value) for value in instance_figures(zeros).values())


def test_one_instance_and_more_than_65535_are_no_special_cases() -> None:
    whole = figures([(np.full((6, 7), 3), np.full((6, 7), 9))])
    assert set(whole.values()) == {1}
    ids = np.arange(70_000).reshape(250, 280) + 1
    found = instances(ids, ids[::-1], 5)
    assert found.truths.size == found.predictions.size == found.iou.size == 70_000
    assert figures([(ids, ids)])["dsb_ap"] == 1


def test_what_cannot_be_compared_is_refused() -> None:
    ids = np.ones((3, 3), int)
    with pytest.raises(ValueError, match="one shape"):
        instances(ids, np.ones((3, 4), int), 1)
    with pytest.raises(ValueError, match="no negative ids of columns, found -1"):
        instances(ids, -ids, 1)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        instances(ids, ids, 0)


def test_figures_of_real_nuclei_fall_as_they_are_moved(data: Path) -> None:
    folder = sorted((data / "dsb2018" / "stage1_train").iterdir())[1]
    nuclei = [np.asarray(Image.open(path)) > 0 for path in sorted((folder / "masks").glob("*.png"))]
    truth = np.zeros(nuclei[0].shape, int)
    for number, mask in enumerate(nuclei, 1):
        truth[mask] = number
    moved = [np.roll(truth, steps, 1) for steps in range(4)]
    results = [figures([(truth, prediction)]) for prediction in moved]
    assert set(results[0].values()) == {1}
    for better, worse in pairwise(results):
        assert all(worse[name] < better[name] for name in ("dsb_ap", "aji", "boundary_iou"))
    for prediction, result in zip(moved[1:], results[1:], strict=True):
        counts = np.array([counted(truth, prediction, threshold) for threshold in THRESHOLDS])
        assert result["dsb_ap"] == pytest.approx((counts[:, 0] / counts.sum(1)).mean())
        assert result["aji"] == pytest.approx(jaccard(truth, prediction))
