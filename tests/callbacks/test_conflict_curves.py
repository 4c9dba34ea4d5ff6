from itertools import combinations

import numpy as np
import pytest

from fusionseg.callbacks.conflict_curves import conflict_curves
from fusionseg.sample import Picture
from fusionseg.visualize.curves import Row

CRIMSON = (220, 20, 60)
PAIR = "semantic_region"


def samples(count: int, tasks: tuple[str, ...] = ("semantic", "region"), cosine: float = 0.5) -> list[Row]:
    """Samples of all pairs of tasks at the branching point and at a stage, and their weights and rates."""
    pairs = ["_".join(pair) for pair in combinations(tasks, 2)]
    places = [(pair, place) for pair in pairs for place in ("", "_stage3")]
    figures = {f"conflict/cosine_{pair}{place}": cosine for pair, place in places}
    figures |= {f"conflict/ratio_{pair}{place}": 2.0 for pair, place in places}
    figures |= {f"conflict/weight_{task}": 1.0 for task in tasks} | {
        f"conflict/rate_{pair}": 0.5 for pair in pairs
    }
    return [{"step": 20 * i, "epoch": i, **figures} for i in range(count)]


def colored(picture: Picture, color: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels that have the color."""
    rows, columns = np.nonzero((picture == color).all(axis=2))
    return rows, columns


@pytest.mark.slow
def test_a_pair_of_tasks_has_a_column_and_so_have_weights_and_rates() -> None:
    widths = [
        conflict_curves(samples(3, ("semantic", "region", "scene")[:tasks])).shape for tasks in (1, 2, 3)
    ]
    assert widths == [(650, 450, 3), (650, 900, 3), (650, 1800, 3)]


@pytest.mark.slow
def test_the_curve_of_the_branching_point_is_as_high_as_its_cosine() -> None:
    heights = []
    for cosine in (-0.9, 0.0, 0.9):
        rows, columns = colored(conflict_curves(samples(50, cosine=cosine)), CRIMSON)
        above = rows[(rows < 300) & (columns < 450)]
        heights.append(above.mean())
    low, middle, high = heights
    assert low - middle == pytest.approx(middle - high, abs=1)
    assert 150 < low - high < 250


def test_stages_are_drawn_alone_where_there_is_no_branching_point() -> None:
    rows = [{name: v for name, v in row.items() if not name.endswith(PAIR)} for row in samples(5)]
    picture = conflict_curves(rows)
    assert not len(colored(picture, CRIMSON)[0])
    assert not np.array_equal(picture, conflict_curves([]))


@pytest.mark.slow
def test_the_same_rows_have_the_same_picture() -> None:
    assert np.array_equal(conflict_curves(samples(7)), conflict_curves(samples(7)))
    assert not np.array_equal(conflict_curves(samples(7)), conflict_curves(samples(8)))
