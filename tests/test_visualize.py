from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from fusionseg.sample import OFFSET, VOID, Classes, Picture, Prediction, Truth
from fusionseg.visualize import (
    color,
    legend,
    overlay,
    panel,
    panoptic_colors,
    region_colors,
    sample_row,
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


def test_row_has_a_picture_for_each_task_that_exists() -> None:
    image, region = plain(2, 3, (9, 9, 9)), np.array([[1, 1, 2], [3, 3, 2]])
    full = Prediction(
        "a", {"semantic": SEMANTIC, "region": region, "fused": SEMANTIC, "panoptic": np.full((2, 3), -1)}
    )
    titles = [
        "image",
        "semantic truth",
        "semantic prediction",
        "region truth",
        "region prediction",
        "fused",
        "panoptic",
    ]
    assert list(sample_row(image, Truth(SEMANTIC, region), full, CLASSES)) == titles
    unlabeled = Truth(np.full((2, 3), VOID), np.zeros((2, 3), int))
    assert list(sample_row(image, unlabeled, Prediction("a", {"region": region}), CLASSES)) == [
        "image",
        "region prediction",
    ]


def test_legend_lists_what_occurs_with_void_last() -> None:
    entries = legend([SEMANTIC[:1], SEMANTIC[:, 1:]], CLASSES)
    assert entries == {"road": (128, 64, 128), "car": (0, 0, 142), "void": (0, 0, 0)}
    assert list(entries)[-1] == "void"


def colored(picture: Picture, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the pixels that have the color."""
    y, x = np.nonzero((picture == color).all(axis=2))
    return int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1


def test_panel_places_cells_of_one_size_in_a_table() -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    rows = [
        {"image": plain(30, 60, red), "region truth": plain(300, 600, green)},
        {"region truth": plain(60, 60, blue)},
    ]
    table = panel(rows, width=100)
    (x0, y0, w0, h0), (x1, y1, w1, h1), (x2, y2, w2, h2) = (
        colored(table, color) for color in (red, green, blue)
    )
    assert (w0, h0) == (w1, h1) == (98, 48), "a cell less its frame"
    assert (w2, h2) == (48, 48), "the aspect ratio is kept"
    assert y0 == y1
    assert x1 - x0 == 100 + 2, "a cell and a gap"
    assert y2 > y1 + h1
    assert x2 + w2 // 2 == x1 + w1 // 2, "in the middle of its column"


def test_panel_grows_by_captions_and_wraps_its_legend() -> None:
    rows = [{"image": plain(30, 60, (1, 2, 3))}]
    bare, captioned = panel(rows, width=200), panel(rows, ["a caption"], width=200)
    few = panel(rows, entries={"a": (255, 0, 0)}, width=200)
    many = panel(rows, entries={f"a long class name {i}": (i, 0, 255) for i in range(9)}, width=200)
    assert bare.shape[1] == captioned.shape[1] == few.shape[1] == many.shape[1]
    assert bare.shape[0] < captioned.shape[0]
    assert bare.shape[0] < few.shape[0] < many.shape[0]
    boxes = [colored(many, (i, 0, 255)) for i in range(9)]
    assert len({box[2:] for box in boxes}) == 1, "no square is cut off"
    assert boxes[-1][1] > boxes[0][1]


def test_texts_shrink_until_they_fit() -> None:
    rows = [
        {
            "image": plain(50, 100, (255, 0, 0)),
            "an extremely long title of a column": plain(50, 100, (0, 0, 255)),
        }
    ]
    table = panel(rows, [f"{'long_name/' * 9}end"], width=100)
    assert (table[:, -4:] == 255).all()
    assert (table[:, :4] == 255).all()
    with_tail = panel(rows, [f"{'long_name/' * 9}END"], width=100)
    assert not np.array_equal(table, with_tail), "the end of the caption is visible"


def test_panel_leaves_its_pictures_alone() -> None:
    picture = plain(50, 100, (5, 6, 7))
    panel([{"image": picture}], width=100)
    assert (picture == (5, 6, 7)).all()


@pytest.mark.parametrize(
    ("rows", "captions"), [([], ()), ([{}], ()), ([{"image": plain(2, 2, (0, 0, 0))}], ("a", "b"))]
)
def test_panel_refuses_empty_rows_and_stray_captions(
    rows: list[dict[str, Picture]], captions: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="at least one picture, and a caption for each row or none"):
        panel(rows, captions)


def test_a_column_that_only_some_rows_have_stands_where_they_have_it() -> None:
    first, second = plain(20, 20, (255, 0, 0)), plain(20, 20, (0, 0, 255))
    street, animal = (
        {"image": first, "classes": first, "guess": first},
        {"image": second, "truth": second, "guess": second},
    )
    for rows in ([street, animal], [animal, street]):
        picture = panel(rows, width=80)
        reds, blues = ((picture == color).all(2).any(0) for color in ([255, 0, 0], [0, 0, 255]))
        starts = [np.flatnonzero(np.diff(shown.astype(int)) == 1) for shown in (reds, blues)]
        assert len(starts[0]) == len(starts[1]) == 3
        assert starts[0][0] == starts[1][0]
        assert starts[0][2] == starts[1][2] > max(starts[0][1], starts[1][1])


def test_classes_of_a_data_set_have_colors_of_their_own() -> None:
    colors = [color(index) for index in range(255)]
    assert len(set(colors)) == 255
    assert all(0 <= value <= 255 for rgb in colors for value in rgb)


def test_neighbors_look_different() -> None:
    assert all(sum(abs(a - b) for a, b in zip(color(i), color(i + 1), strict=True)) > 60 for i in range(200))
