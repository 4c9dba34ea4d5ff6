from collections import Counter

import numpy as np
import pytest

from fusionseg.metrics.contingency import contingency, overlaps, ratio


@pytest.mark.parametrize(
    ("num_rows", "num_columns"), [(1, 1), (1, 256), (3, 5), (16, 16), (17, 300), (300, 1)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_table_counts_pairs(num_rows: int, num_columns: int, dtype: type[np.integer]) -> None:
    random = np.random.default_rng(0)
    rows = random.integers(0, min(num_rows, 256), (13, 17)).astype(dtype)
    columns = random.integers(0, min(num_columns, 256), (13, 17)).astype(dtype)
    table = contingency(rows, columns, num_rows, num_columns)
    pairs = Counter(zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True))
    assert table.shape == (num_rows, num_columns)
    assert table.sum() == rows.size
    assert all(table[pair] == count for pair, count in pairs.items())


@pytest.mark.parametrize("strange", [-1, 4])
def test_ids_out_of_range_are_refused(strange: int) -> None:
    good, bad = np.zeros((2, 2), np.int64), np.array([[0, 0], [0, strange]])
    with pytest.raises(ValueError, match=r"ids of columns in 0\.\.3, found"):
        contingency(good, bad, 4, 4)
    with pytest.raises(ValueError, match=r"ids of rows in 0\.\.3, found"):
        contingency(bad, good, 4, 4)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, found \(2, 3\) and \(3, 2\)"):
        contingency(np.zeros((2, 3), np.int64), np.zeros((3, 2), np.int64), 1, 1)


@pytest.mark.parametrize(("most", "scale"), [(6, 1), (6, 10922), (4000, 1), (65536, 1), (300, 1 << 17)])
@pytest.mark.parametrize("noisy", [True, False])
def test_overlaps_count_pairs_of_few_and_many_ids_in_noise_and_in_blocks(
    most: int, scale: int, noisy: bool
) -> None:
    random = np.random.default_rng(2)
    rows, columns = random.integers(0, most, (2, 20, 20)) * scale
    rows[0, 0] = columns[0, 0] = (most - 1) * scale
    if not noisy:
        rows, columns = (ids.repeat(4, 0).repeat(5, 1) for ids in (rows, np.roll(columns, 1)))
    row_ids, column_ids, row, column, area = overlaps(rows.astype(np.uint32), columns)
    assert np.array_equal(row_ids, np.unique(rows))
    assert np.array_equal(column_ids, np.unique(columns))
    found = zip(row_ids[row].tolist(), column_ids[column].tolist(), area.tolist(), strict=True)
    pairs = Counter(zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True))
    assert list(found) == [(*pair, pairs[pair]) for pair in sorted(pairs)]


def test_nothing_overlaps_in_empty_maps() -> None:
    empty = np.empty((0, 4), np.uint8)
    assert all(part.size == 0 for part in overlaps(empty, empty))
    assert not contingency(empty, empty, 2, 3).any()


def test_negative_ids_have_no_overlaps() -> None:
    with pytest.raises(ValueError, match="no negative ids of rows, found -1"):
        overlaps(np.array([[3, -1]]), np.array([[0, 0]]))


def test_ratio_is_undefined_only_over_zero() -> None:
    assert np.array_equal(ratio([1, 0, 3], [2, 0, 0]), [0.5, np.nan, np.nan], equal_nan=True)


def test_ids_may_be_so_large_that_no_pair_of_them_is_a_64_bit_number() -> None:
    random = np.random.default_rng(0)
    rows = random.integers(0, 5, (20, 30))
    columns = random.integers(0, 4, (20, 30))
    expected = overlaps(rows, columns)
    found = overlaps(rows + 2**35, columns + 2**36)
    assert np.array_equal(found.rows, expected.rows + 2**35)
    assert np.array_equal(found.columns, expected.columns + 2**36)
    for part in ("row", "column", "area"):
        assert np.array_equal(getattr(found, part), getattr(expected, part))
