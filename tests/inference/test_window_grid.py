from itertools import pairwise

import numpy as np
import pytest

from fusionseg.inference.window_grid import WindowGrid


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0, 0.3])
@pytest.mark.parametrize("size", [(1, 1), (128, 129), (300, 420), (513, 64), (255, 1000)])
def test_each_pixel_is_in_the_core_of_one_window(size: tuple[int, int], scale: float) -> None:
    grid = WindowGrid(*size, 128, 64, scale)
    seen = np.zeros(size, int)
    for window in grid:
        rows, columns = window.rows, window.columns
        seen[rows.first : rows.last, columns.first : columns.last] += 1
        assert 0 <= rows.begin <= rows.first < rows.last <= rows.end <= size[0]
        assert window.core[0] == slice(rows.first - rows.begin, rows.last - rows.begin)
    assert (seen == 1).all()
    assert len(list(grid)) == len(grid)
    for spans in (grid.rows, grid.columns):
        for span, following in pairwise(spans):
            assert span.last == following.first
            # both windows see what is compared, with three eighths of the overlap beyond it, but for rounding
            room = round(64 / scale) * 3 // 8 - 1
            assert following.begin + room <= span.last - grid.margin
            assert span.last + grid.margin <= span.end - room


@pytest.mark.parametrize("side", [128, 129, 500, 1024, 1111])
def test_windows_begin_at_multiples_of_32_as_tiles_do(side: int) -> None:
    for span in WindowGrid(side, side, 128, 64).rows:
        assert span.begin % 32 == 0
        assert span.end == side or span.end - span.begin == 128
