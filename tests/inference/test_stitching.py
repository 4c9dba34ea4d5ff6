import numpy as np
import pytest

from fusionseg.inference.stitching import joined_ids, joined_pairs
from fusionseg.metrics.contingency import contingency


def columns(*ids: int, height: int = 8) -> np.ndarray:
    """A strip whose columns have one id each."""
    return np.tile(np.array(ids), (height, 1))


def rows(*ids: int, width: int = 6) -> np.ndarray:
    """A strip whose rows have one id each."""
    return np.tile(np.array(ids)[:, None], (1, width))


def pairs(before: np.ndarray, behind: np.ndarray) -> list[list[int]]:
    return joined_pairs(before, behind).tolist()  # type: ignore[no-any-return]


def test_regions_that_both_windows_see_cross_the_border_are_one() -> None:
    assert pairs(columns(1, 1, 2, 3), columns(7, 7, 8, 9)) == [[1, 7], [2, 8], [3, 9]]


def test_arms_that_meet_in_one_window_are_joined_through_it() -> None:
    assert pairs(columns(1, 2, 2, 3, 3), columns(7, 8, 8, 7, 7)) == [[1, 7], [2, 8], [3, 7]]


def test_neighbors_whose_boundary_runs_along_the_border_are_not_joined() -> None:
    # the window above sees it two rows below the border, the window below two rows above it
    assert pairs(rows(1, 1, 1, 1, 1, 1, 2, 2), rows(7, 7, 8, 8, 8, 8, 8, 8)) == [[1, 8]]
    assert pairs(rows(1, 1, 1, 1, 1, 2, 2, 2), rows(7, 7, 7, 8, 8, 8, 8, 8)) == []
    assert pairs(rows(1, 1, 1, 1, 2, 2, 2, 2), rows(7, 7, 7, 7, 8, 8, 8, 8)) == []


def test_neighbors_are_not_joined_by_a_sliver_where_windows_see_a_boundary_apart() -> None:
    assert pairs(columns(1, 1, 1, 1, 2, 2, 2), columns(7, 7, 7, 8, 8, 8, 8)) == [[1, 7], [2, 8]]


def test_a_tip_that_one_window_sees_end_at_the_border_is_not_joined_with_what_lies_around_it() -> None:
    before = columns(2, 1, 2)
    before[5:] = 2
    behind = columns(8, 8, 8)
    behind[:4, 1] = 7
    assert pairs(before, behind) == [[2, 8]]


def test_no_region_is_joined_with_any() -> None:
    assert pairs(columns(0, 0, 1), columns(7, 7, 0)) == []
    assert pairs(np.zeros((8, 0), int), np.zeros((8, 0), int)) == []


def reference(links: np.ndarray, present: set[int], count: int) -> list[int]:
    """Joins one link after the other."""
    groups = [{i} for i in range(count)]
    for one, other in links.tolist():
        group = groups[one] | groups[other]
        for i in group:
            groups[i] = group
    ids = [0] * count
    number = 0
    for i in range(1, count):
        if not ids[i] and groups[i] & present:
            number += 1
            for j in groups[i]:
                ids[j] = number
    return ids


@pytest.mark.parametrize("seed", range(20))
def test_ids_are_joined_as_one_link_after_the_other_joins_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    links = generator.integers(1, 40, (seed * 2, 2))
    present = np.flatnonzero(generator.random(40) < 0.7)
    present = present[present > 0]
    assert joined_ids(links, present, 40).tolist() == reference(links, set(present.tolist()), 40)


def test_pairs_are_those_of_a_table_of_all_pairs() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        before = generator.integers(0, 4, (6, 9))
        behind = generator.integers(0, 4, (6, 9))
        table = contingency(before, behind, 4, 4)
        expected = []
        for one in range(1, 4):
            for other in range(1, 4):
                both = (before == one) & (behind == other)
                crosses = (both[2] & both[3]).any()
                if crosses and table[one, other] > min((before == one).sum(), (behind == other).sum()) / 2:
                    expected.append([one, other])
        assert pairs(before, behind) == expected
