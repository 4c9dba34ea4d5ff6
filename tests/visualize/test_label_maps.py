from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from fusionseg.sample import OFFSET, VOID, Classes, Picture
from fusionseg.visualize import (
    color,
    overlay,
    panoptic_colors,
    region_colors,
    semantic_colors,
)

CLASSES = Classes(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)), things=(1,))
SEMANTIC = np.array([[0, 0, 1], [2, VOID, 1]])
WHITE = np.array([255, 255, 255])


def plain(height: int, width: int, color: tuple[int, int, int]) -> Picture:
    return np.full((height, width, 3), color, np.uint8)


def shades(ids: np.ndarray, colors: Callable[[np.ndarray], Picture]) -> np.ndarray:
    """The color of each id, from a picture whose rows are wide bands, read away from the outlines."""
    return colors(np.repeat(np.repeat(ids[:, None], 3, axis=0), 4, axis=1))[1::3, 1].astype(int)


def test_semantic_colors_are_the_declared_ones_and_void_is_black() -> None:
    colors = semantic_colors(SEMANTIC, CLASSES)
    for y, x in np.ndindex(SEMANTIC.shape):
        c = SEMANTIC[y, x]
        assert tuple(colors[y, x]) == ((0, 0, 0) if c == VOID else CLASSES.colors[c])


def test_semantic_colors_refuse_unknown_classes() -> None:
    with pytest.raises(ValueError, match=r"\[0, 2\], found \[-1, 3\]"):
        semantic_colors(np.array([[0, 3, -1]]), CLASSES)


def test_first_thousand_regions_have_distinct_colors_and_close_ids_distant_ones() -> None:
    colors = shades(np.arange(1001), region_colors)
    assert tuple(colors[0]) == (0, 0, 0)
    assert len(np.unique(colors[1:], axis=0)) == 1000
    assert colors[1:].max(axis=1).min() > 150
    for step in range(1, 13):
        distance = np.abs(colors[1 + step :] - colors[1:-step]).max(axis=1).min()
        assert distance > (70 if step < 5 else 45), step


def test_color_of_region_depends_on_its_id_only() -> None:
    few, many = shades(np.array([0, 7, 65535]), region_colors), shades(np.arange(65536), region_colors)
    assert np.array_equal(few, many[[0, 7, 65535]])


def test_outline_separates_touching_regions_and_nothing_else() -> None:
    region = np.zeros((20, 30), int)
    region[:, 10:], region[12:, 10:] = 1, 2
    white = (region_colors(region) == WHITE).all(axis=2)
    expected = np.zeros_like(white)
    for y, x in np.ndindex(region.shape):
        neighbors = region[y, x : x + 2], region[y : y + 2, x]
        expected[y, x] = any(a != b for pair in neighbors for a, b in pairwise(pair))
    assert np.array_equal(white, expected)


def test_panoptic_colors_keep_stuff_vary_things_and_blacken_void() -> None:
    ids = np.array([-1, 0, 2 * OFFSET, *(OFFSET + np.arange(1, 41))])
    colors = shades(ids, lambda panoptic: panoptic_colors(panoptic, CLASSES))
    assert tuple(colors[0]) == (0, 0, 0)
    assert np.abs(colors[1:3] - [CLASSES.colors[0], CLASSES.colors[2]]).max() <= 1
    assert len(np.unique(colors[3:], axis=0)) == 40
    assert (colors[3:].argmax(axis=1) == 2).all(), "shades of a blue class are blue"


def test_panoptic_colors_of_void_only_are_black() -> None:
    assert not panoptic_colors(np.full((4, 5), -1), CLASSES).any()


def test_panoptic_colors_refuse_unknown_classes() -> None:
    with pytest.raises(ValueError, match=r"\[0, 2\], found \[3\]"):
        panoptic_colors(np.array([[3 * OFFSET + 1]]), CLASSES)


def test_overlay_mixes_by_opacity_and_lets_void_through() -> None:
    image, colors = plain(2, 2, (200, 100, 0)), plain(2, 2, (0, 100, 200))
    colors[0, 0] = 0
    mixed = overlay(image, colors, opacity=0.25)
    assert tuple(mixed[0, 0]) == (200, 100, 0)
    assert tuple(mixed[1, 1]) == (150, 100, 50)
    assert np.array_equal(overlay(image, colors, 0), image)


def test_overlay_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2, 3\) and \(2, 3, 3\)"):
        overlay(plain(2, 2, (0, 0, 0)), plain(2, 3, (0, 0, 0)))


def test_classes_of_a_data_set_have_colors_of_their_own() -> None:
    colors = [color(index) for index in range(255)]
    assert len(set(colors)) == 255
    assert all(0 <= value <= 255 for rgb in colors for value in rgb)


def test_neighbors_look_different() -> None:
    assert all(sum(abs(a - b) for a, b in zip(color(i), color(i + 1), strict=True)) > 60 for i in range(200))
