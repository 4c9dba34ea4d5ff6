"""Contingency tables of two label maps, which most metrics are computed from."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fusionseg.sample import IntMap

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]


class Overlaps(NamedTuple):
    """The pairs of labels that share pixels: the cells of a contingency table that are not 0, row by row.

    Args:
        rows: The ids that occur in the first map, ascending.
        columns: The ids that occur in the second map, ascending.
        row: Of each pair, the position of its first label in `rows`.
        column: Of each pair, the position of its second label in `columns`.
        area: Of each pair, the pixels that both labels share, at least 1.
    """

    rows: Counts
    columns: Counts
    row: Counts
    column: Counts
    area: Floats


def runs(rows: IntMap, columns: IntMap) -> tuple[Counts, Counts, Counts]:
    """The runs of equal pairs of ids, read line by line: first id, second id and length of each.

    Label maps are made of long runs, and everything after them is by that much cheaper than pixel by pixel.

    Raises:
        ValueError: If the shapes differ.
    """
    if rows.shape != columns.shape:
        raise ValueError(f"expected two label maps of one shape, found {rows.shape} and {columns.shape}")
    first = rows.ravel()
    second = columns.ravel()
    last = np.ones(first.size, bool)
    last[:-1] = first[1:] != first[:-1]
    last[:-1] |= second[1:] != second[:-1]
    ends = np.flatnonzero(last)
    return first[ends].astype(np.int64), second[ends].astype(np.int64), np.diff(ends, prepend=-1)


def totals(codes: Counts, weights: Counts | Floats, size: int) -> Floats:
    """The sum of the weights of each code in 0..size-1: areas of labels, exact below 2**53."""
    return np.bincount(codes, weights, size).astype(np.float64, copy=False)


def contingency(rows: IntMap, columns: IntMap, num_rows: int, num_columns: int) -> Counts:
    """The number of pixels with each pair of ids, a table (num_rows, num_columns).

    Args:
        rows: Ids in [0, num_rows), any shape.
        columns: Ids in [0, num_columns), same shape.
        num_rows: Rows of the table, at least 1.
        num_columns: Columns of the table, at least 1.

    Raises:
        ValueError: If the shapes differ or an id is out of range.
    """
    row, column, lengths = runs(rows, columns)
    for name, ids, bound in (("rows", row, num_rows), ("columns", column, num_columns)):
        if ids.size and not 0 <= ids.min() <= ids.max() < bound:
            raise ValueError(f"expected ids of {name} in 0..{bound - 1}, found {ids.min()}..{ids.max()}")
    table = totals(row * num_columns + column, lengths, num_rows * num_columns)
    return table.astype(np.int64).reshape(num_rows, num_columns)


def overlaps(rows: IntMap, columns: IntMap) -> Overlaps:
    """Which labels of two maps share pixels, and how many: a contingency table whose ids may be sparse.

    Args:
        rows: Ids, not negative, any shape.
        columns: Ids, not negative, same shape.

    Raises:
        ValueError: If the shapes differ or an id is negative.
    """
    row, column, lengths = runs(rows, columns)
    for name, ids in (("rows", row), ("columns", column)):
        if ids.min(initial=0) < 0:
            raise ValueError(f"expected no negative ids of {name}, found {ids.min()}")
    num_columns = int(column.max(initial=0)) + 1
    if (int(row.max(initial=0)) + 1) * num_columns >= 2**63:
        return _of_large_ids(row, column, lengths)
    cells, cell = np.unique(row * num_columns + column, return_inverse=True)
    row_ids, of_row = np.unique(cells // num_columns, return_inverse=True)
    column_ids, of_column = np.unique(cells % num_columns, return_inverse=True)
    return Overlaps(row_ids, column_ids, of_row, of_column, totals(cell, lengths, cells.size))


def _of_large_ids(row: Counts, column: Counts, lengths: Counts) -> Overlaps:
    """The overlaps of runs whose ids are so large that a pair of them is no 64-bit number."""
    row_ids, of_row = np.unique(row, return_inverse=True)
    column_ids, of_column = np.unique(column, return_inverse=True)
    found = overlaps(np.repeat(of_row, lengths), np.repeat(of_column, lengths))
    return found._replace(rows=row_ids, columns=column_ids)


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    """A quotient, element by element, that is NaN where the denominator is 0."""
    top = np.asarray(numerator, np.float64)
    bottom = np.asarray(denominator, np.float64)
    # not np.broadcast_arrays, which would be half of the cost of the figures of a resample
    undefined = np.full(np.broadcast_shapes(top.shape, bottom.shape), np.nan)
    quotient: Floats = np.divide(top, bottom, out=undefined, where=bottom != 0)
    return quotient


def mean(values: Floats) -> float:
    """The mean of what is defined, NaN if nothing is."""
    defined = values[~np.isnan(values)]
    return float(ratio(defined.sum(), defined.size))
