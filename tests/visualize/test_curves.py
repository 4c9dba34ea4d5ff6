import math

import numpy as np
import pytest

from fusionseg.visualize.curves import MOST, Row, averaged


def test_what_is_missing_in_a_row_is_no_point() -> None:
    rows: list[Row] = [
        {"step": 0, "epoch": 0, "a": 1.0},
        {"step": 5, "epoch": 0},
        {"step": 9, "epoch": 1, "a": 3.0},
    ]
    assert averaged(rows, "a", "step") == ([0, 9], [1, 3])
    assert averaged(rows, "a", "epoch") == ([0, 1], [1, 3])


@pytest.mark.parametrize("count", [1, MOST, MOST + 1, 10 * MOST + 7])
def test_of_many_samples_equal_stretches_are_averaged(count: int) -> None:
    values = np.exp(np.random.default_rng(0).normal(size=count))
    rows = [{"step": 3 * i, "epoch": 0, "a": float(v)} for i, v in enumerate(values)]
    (steps, means), (_, geometric) = averaged(rows, "a", "step"), averaged(rows, "a", "step", geometric=True)
    assert len(steps) == len(means) <= MOST
    sizes = {len(part) for part in np.array_split(values, len(steps))}
    assert max(sizes) - min(sizes) <= 1
    first = math.ceil(count / len(steps))
    assert steps[0] == pytest.approx(3 * np.arange(first).mean())
    assert means[0] == pytest.approx(values[:first].mean())
    assert geometric[0] == pytest.approx(values[:first].prod() ** (1 / first))
