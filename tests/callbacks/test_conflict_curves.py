import math
from itertools import combinations

import numpy as np
import pytest

from fusionseg.callbacks.conflict_curves import MOST, Row, _curve, conflict_curves
from fusionseg.sample import Picture

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


def test_a_pair_of_tasks_has_a_column_and_so_have_weights_and_rates() -> None:
    widths = [
        conflict_curves(samples(3, ("semantic", "region", "scene")[:tasks])).shape for tasks in (1, 2, 3)
    ]
    assert widths == [(650, 450, 3), (650, 900, 3), (650, 1800, 3)]


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


def test_the_same_rows_have_the_same_picture() -> None:
    assert np.array_equal(conflict_curves(samples(7)), conflict_curves(samples(7)))
    assert not np.array_equal(conflict_curves(samples(7)), conflict_curves(samples(8)))


def test_what_is_missing_in_a_row_is_no_point() -> None:
    rows: list[Row] = [
        {"step": 0, "epoch": 0, "a": 1.0},
        {"step": 5, "epoch": 0},
        {"step": 9, "epoch": 1, "a": 3.0},
    ]
    assert _curve(rows, "a", "step") == ([0, 9], [1, 3])
    assert _curve(rows, "a", "epoch") == ([0, 1], [1, 3])


@pytest.mark.parametrize("count", [1, MOST, MOST + 1, 10 * MOST + 7])
def test_of_many_samples_equal_stretches_are_averaged(count: int) -> None:
    values = np.exp(np.random.default_rng(0).normal(size=count))
    rows = [{"step": 3 * i, "epoch": 0, "a": float(v)} for i, v in enumerate(values)]
    (steps, means), (_, geometric) = _curve(rows, "a", "step"), _curve(rows, "a", "step", geometric=True)
    assert len(steps) == len(means) <= MOST
    sizes = {len(part) for part in np.array_split(values, len(steps))}
    assert max(sizes) - min(sizes) <= 1
    first = math.ceil(count / len(steps))
    assert steps[0] == pytest.approx(3 * np.arange(first).mean())
    assert means[0] == pytest.approx(values[:first].mean())
    assert geometric[0] == pytest.approx(values[:first].prod() ** (1 / first))
