import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fusionseg.sample import OFFSET, Classes, IntMap
from fusionseg.visualize import panoptic_colors, region_colors
from fusionseg.visualize.matching import matched

CLASSES = Classes(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)), things=(1,))


def tiles(seed: int, shift: int = 0) -> IntMap:
    """Tiles of many sizes with random ids from 1, displaced by some pixels."""
    random = np.random.default_rng(seed)
    rows = np.cumsum(random.random(40) < 0.2)
    columns = np.cumsum(random.random(60) < 0.2)
    ids = random.permutation(500)[: (rows.max() + 1) * (columns.max() + 1)] + 1
    tiled = ids.reshape(rows.max() + 1, -1)[rows[:, None], columns]
    return np.roll(tiled, shift, (0, 1))


def test_a_renumbered_map_gets_its_ids_back() -> None:
    truth = tiles(0).astype(np.uint16)
    names = np.random.default_rng(1).permutation(truth.max() + 1) + 7
    np.testing.assert_array_equal(matched(names[truth], truth), truth)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_a_matching_is_one_to_one_and_has_nearly_the_most_overlap_that_there_can_be(shift: int) -> None:
    truth = tiles(0)
    prediction = tiles(0, shift) % 97 + 1000
    found = matched(prediction, truth)
    pairs = set(zip(prediction.ravel().tolist(), found.ravel().tolist(), strict=True))
    assert len(pairs) == len({own for own, _ in pairs}) == len({new for _, new in pairs})
    ids, true_ids = np.unique(prediction), np.unique(truth)
    iou = np.array(
        [
            [
                ((prediction == a) & (truth == b)).sum() / ((prediction == a) | (truth == b)).sum()
                for b in true_ids
            ]
            for a in ids
        ]
    )
    best = iou[linear_sum_assignment(-iou)].sum()
    new = dict(pairs)
    reached = sum(
        iou[i, list(true_ids).index(new[a])] for i, a in enumerate(ids.tolist()) if new[a] in true_ids
    )
    assert 0.9 * best < reached <= best + 1e-9


def test_what_matches_nothing_gets_a_number_that_no_true_region_has() -> None:
    truth = np.array([[1, 1, 0, 0, 2]])
    found = matched(np.array([[9, 9, 8, 7, 7]]), truth)
    assert found.tolist() == [[1, 1, 3, 2, 2]]
    assert matched(np.array([[5, 6]]), np.array([[0, 0]])).tolist() == [[1, 2]]


def test_things_match_within_their_class_and_stuff_and_void_stay() -> None:
    car, sky = OFFSET, 2 * OFFSET
    truth = np.array([[car + 3, car + 3, sky, sky, -1]])
    prediction = np.array([[car + 9, car + 9, sky, car + 8, -1]])
    assert matched(prediction, truth).tolist() == [[car + 3, car + 3, sky, car + 1, -1]]
    assert matched(np.full((2, 2), -1), np.full((2, 2), -1)).tolist() == [[-1, -1], [-1, -1]]


def test_matching_segments_have_equal_colors() -> None:
    truth = np.repeat(np.repeat([[1, 2], [3, 4]], 8, 0), 8, 1)
    prediction = 50 - truth
    assert not np.array_equal(region_colors(prediction), region_colors(truth))
    np.testing.assert_array_equal(region_colors(matched(prediction, truth)), region_colors(truth))
    cars = panoptic_colors(matched(prediction + OFFSET, truth + OFFSET), CLASSES)
    np.testing.assert_array_equal(cars, panoptic_colors(truth + OFFSET, CLASSES))
