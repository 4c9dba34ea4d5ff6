from itertools import pairwise

import cv2
import numpy as np
import pytest

from fusionseg.files.coco_instances import Mask, segmentation

RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def filled(polygon: list[int], size: tuple[int, int]) -> Mask:
    """The pixels whose centers lie within a polygon: whose rays to the right cross its sides an odd number of times."""
    points = np.reshape(polygon, (-1, 2)).tolist()
    inside = np.zeros(size, bool)
    for (x, y), (other_x, other_y) in pairwise([*points, points[0]]):
        if y != other_y:
            assert x == other_x, "a side along the edges of pixels"
            inside[min(y, other_y) : max(y, other_y), :x] ^= True
    return inside


def mask_of(outline: list[list[int]] | dict, size: tuple[int, int]) -> Mask:
    if isinstance(outline, list):
        return np.any([filled(polygon, size) for polygon in outline], 0)
    assert outline["size"] == list(size)
    inside = np.arange(len(outline["counts"])) % 2 == 1
    return np.repeat(inside, outline["counts"]).reshape(size[::-1]).T


def blob(seed: int, blur: float) -> Mask:
    """A random mask of one or many parts, in its box."""
    random = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(random.random(random.integers(2, 40, 2)), (0, 0), blur)
    mask = noise >= np.quantile(noise, 0.6)
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


@pytest.mark.parametrize("blur", [0.01, 0.7, 2.0, 6.0])
def test_an_outline_filled_is_the_mask_to_the_pixel(blur: float) -> None:
    kinds = set()
    for seed in range(40):
        mask = blob(seed, blur)
        height, width = mask.shape
        size = (height + 5, width + 3)
        outline = segmentation(mask, 3, 4, size)
        kinds.add(type(outline))
        found = mask_of(outline, size)
        np.testing.assert_array_equal(found[4 : 4 + height, 3 : 3 + width], mask)
        assert found.sum() == mask.sum()
    assert list in kinds


def test_masks_with_holes_have_run_lengths_and_others_polygons() -> None:
    holes, parts = segmentation(RING, 1, 1, (6, 6)), segmentation(RING[:, :2], 1, 1, (6, 6))
    assert isinstance(holes, dict)
    assert sum(holes["counts"]) == 36
    assert isinstance(parts, list)
    assert mask_of(holes, (6, 6)).sum() == 8


def test_parts_that_meet_at_corners_are_one_polygon_and_others_several() -> None:
    diagonal = segmentation(np.eye(3, dtype=bool), 0, 0, (3, 3))
    apart = segmentation(np.array([[1, 0, 1]], bool), 0, 0, (1, 3))
    assert (len(diagonal), len(apart)) == (1, 2)
    assert mask_of(diagonal, (3, 3)).sum() == 3


def test_every_polygon_has_an_area_also_that_of_one_pixel() -> None:
    assert segmentation(np.ones((1, 1), bool), 5, 7, (9, 9)) == [[5, 7, 5, 8, 6, 8, 6, 7]]


def test_straight_sides_have_no_points_between_their_ends() -> None:
    [polygon] = segmentation(np.ones((30, 50), bool), 0, 0, (30, 50))
    assert len(polygon) == 8
