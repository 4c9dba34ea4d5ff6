from dataclasses import replace

import numpy as np
import pytest

from fusionseg.heads import RegionHead, SemanticHead
from fusionseg.sample import OFFSET, VOID, Classes, Picture, Prediction, Truth
from fusionseg.visualize import (
    legend,
    panel,
    sample_row,
)

CLASSES = Classes(("road", "car", "sky"), ((128, 64, 128), (0, 0, 142), (70, 130, 180)), things=(1,))
SEMANTIC = np.array([[0, 0, 1], [2, VOID, 1]])
WHITE = np.array([255, 255, 255])
TASKS = {"semantic": SemanticHead, "region": RegionHead}


def plain(height: int, width: int, color: tuple[int, int, int]) -> Picture:
    return np.full((height, width, 3), color, np.uint8)


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
        "panoptic truth",
        "panoptic",
    ]
    truth = Truth(SEMANTIC, region)
    assert list(sample_row(image, truth, full, CLASSES, TASKS)) == titles
    assert (
        list(sample_row(image, replace(truth, has_regions=False), full, CLASSES, TASKS))
        == titles[:-2] + titles[-1:]
    )
    unlabeled = Truth(np.full((2, 3), VOID), np.zeros((2, 3), int))
    assert list(sample_row(image, unlabeled, Prediction("a", {"region": region}), CLASSES, TASKS)) == [
        "image",
        "region prediction",
    ]


def test_a_prediction_that_is_the_truth_under_other_ids_looks_like_it() -> None:
    semantic = np.repeat(np.repeat([[0, 1], [1, 2]], 6, 0), 6, 1)
    region = np.repeat(np.repeat([[1, 2], [3, 4]], 6, 0), 6, 1)
    truth = Truth(semantic, region)
    panoptic = np.where(semantic == 1, OFFSET + 90 - region, semantic * OFFSET)
    answer = Prediction("a", {"semantic": semantic, "region": 99 - region, "panoptic": panoptic})
    row = sample_row(plain(12, 12, (9, 9, 9)), truth, answer, CLASSES, TASKS)
    np.testing.assert_array_equal(row["region prediction"], row["region truth"])
    np.testing.assert_array_equal(row["panoptic"], row["panoptic truth"])


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
