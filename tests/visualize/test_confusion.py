import numpy as np
import pytest

from fusionseg.sample import Classes, Picture
from fusionseg.visualize.confusion import FEW, confusion_picture, row_shares


def classes(number: int) -> Classes:
    return Classes(tuple(f"class {i}" for i in range(number)), ((0, 0, 0),) * number)


def matrix(picture: Picture, number: int) -> Picture:
    """The colors of the cells, a corner of each, from the frame of the matrix."""
    dark = (picture.max(2) < 60).sum(0), (picture.max(2) < 60).sum(1)
    columns, rows = (np.flatnonzero(counts > 0.6 * counts.max()) for counts in dark)
    left, right = columns.min(), columns[columns < picture.shape[1] * 0.9].max()
    top, bottom = rows.min(), rows.max()
    x = left + (np.arange(number) + 0.15) * (right - left) / number
    y = top + (np.arange(number) + 0.15) * (bottom - top) / number
    return picture[np.rint(y).astype(int)[:, None], np.rint(x).astype(int)]


def test_rows_sum_to_one_and_those_without_pixels_are_undefined() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (5, 5))
    counts[2] = 0
    shares = row_shares(counts)
    np.testing.assert_allclose(np.delete(shares, 2, 0).sum(1), 1)
    assert np.isnan(shares[2]).all()
    np.testing.assert_allclose(shares[1] * counts[1].sum(), counts[1])


def test_cells_are_the_darker_the_larger_their_share_and_rows_without_pixels_are_gray() -> None:
    counts = np.array([[8, 2, 0, 0], [0, 10, 0, 0], [0, 0, 0, 0], [5, 0, 0, 5]])
    cells = matrix(confusion_picture(counts, classes(4), "a"), 4).astype(int)
    light = cells.sum(2)
    assert light[1, 1] < light[0, 0] < light[3, 0] == light[3, 3] < light[0, 1] < light[0, 2]
    assert (cells[2] == cells[2, 0, 0]).all()
    assert 200 < cells[2, 0, 0] < 240


@pytest.mark.slow
def test_a_picture_of_more_classes_is_larger() -> None:
    few, many = (confusion_picture(np.eye(number), classes(number), "a") for number in (11, 133))
    assert few.shape[0] < many.shape[0] < 2500


@pytest.mark.slow
@pytest.mark.parametrize(("number", "written"), [(FEW, True), (FEW + 1, False)])
def test_shares_are_written_where_there_is_room_for_them(number: int, written: bool) -> None:
    picture = confusion_picture(np.eye(number), classes(number), "a")
    full = (picture[..., 2] > 90) & (picture[..., 0] < 20)  # the color of the share 1
    rows, columns = np.nonzero(full[:, : int(0.85 * full.shape[1])])
    inside = picture[rows.min() : rows.max(), columns.min() : columns.max()]
    assert (inside == 255).all(2).any() == written
