import math
from typing import Any

import numpy as np
import pytest

from fusionseg.studies.statistics import distance_to_front, hypervolume, pareto_front


def some_points(seed: int) -> Any:
    """Points on a coarse grid, so that many are equal in one objective or in both."""
    return np.random.default_rng(seed).integers(0, 8, (int(seed % 9) + 1, 2)) / 4


def dominates(a: Any, b: Any) -> bool:
    return bool(a[0] >= b[0] and a[1] >= b[1] and (a[0] > b[0] or a[1] > b[1]))


@pytest.mark.parametrize("seed", range(40))
def test_the_front_is_what_no_other_point_dominates(seed: int) -> None:
    points = some_points(seed)
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert pareto_front(points).tolist() == expected


@pytest.mark.parametrize("seed", range(40))
def test_the_hypervolume_is_the_number_of_dominated_cells(seed: int) -> None:
    points = some_points(seed)
    reference = (0.25, 0.5)
    corners = np.arange(0, 2, 0.25)
    cells = [
        (x, y)
        for x in corners
        for y in corners
        if x >= reference[0] and y >= reference[1] and ((points >= (x + 0.25, y + 0.25)).all(1)).any()
    ]
    assert hypervolume(points, reference) == pytest.approx(len(cells) / 16, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_distance_is_that_of_the_nearest_place_that_is_not_dominated(seed: int) -> None:
    points = some_points(seed)
    point = np.random.default_rng(100 + seed).random(2) * 1.5
    steps = np.linspace(0, 2, 401)
    moves = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    free = ~((points[None] > (point + moves)[:, None] + 1e-12).all(2)).any(1)
    expected = np.hypot(*moves[free].T).min()
    assert distance_to_front(point, points) == pytest.approx(expected, abs=0.01)
    assert distance_to_front(point, points) <= expected + 1e-9


def test_equal_points_are_all_on_the_front() -> None:
    assert pareto_front([(1, 1), (1, 1), (0, 1)]).tolist() == [True, True, False]


def test_points_on_the_front_and_beyond_are_at_distance_0() -> None:
    points = [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    assert [distance_to_front(point, points) for point in [*points, (2.5, 1.5), (4, 4), (0, 3)]] == [0] * 6
    assert distance_to_front((1.0, 1.0), []) == 0


def test_a_point_that_is_not_known_is_on_no_front_and_adds_no_area() -> None:
    points = [(1.0, 1.0), (math.nan, 5.0), (math.inf, 0.5)]
    assert pareto_front(points).tolist() == [True, False, False]
    assert hypervolume(points, (0, 0)) == 1
    assert math.isnan(distance_to_front((math.nan, 1.0), points))


def test_no_point_has_no_front_and_no_area() -> None:
    assert pareto_front([]).tolist() == []
    assert hypervolume([], (0, 0)) == 0


def test_a_point_that_is_dominated_adds_no_area() -> None:
    points = [(1.0, 3.0), (3.0, 1.0)]
    assert hypervolume([*points, (1.0, 1.0), (0.5, 3.0)], (0, 0)) == hypervolume(points, (0, 0)) == 5


def test_three_objectives_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"points of two objectives \(N, 2\), found an array of shape \(1, 3\)"
    ):
        pareto_front([(1, 2, 3)])
