import numpy as np
import pytest

from fusionseg.data.rounding import rounded

RNG = np.random.default_rng


@pytest.mark.parametrize(
    "repeats",
    [
        [1.0, 2.0, 3.0],
        [0.25, 0.25, 0.25, 0.25],
        [1.5, 1.0, 2.2, 0.3],
        [3.7, 0.01, 0.99, 1.0, 1.31],
        [10 / 3] * 3,
        [0.4],
        [],
    ],
)
def test_repeats_are_rounded_up_or_down_and_their_sum_stays(repeats: list[float]) -> None:
    given = np.array(repeats)
    sums = set()
    for seed in range(50):
        found = rounded(given, RNG(seed))
        assert (found >= np.floor(given)).all()
        assert (found <= np.ceil(given)).all()
        sums.add(int(found.sum()))
    assert sums == {int(given.sum() + 1e-6)}


def test_the_mean_over_epochs_is_what_was_wanted() -> None:
    repeats = np.array([0.2, 0.8, 1.5, 1.0, 2.1, 0.4])
    found = np.mean([rounded(repeats, RNG(seed)) for seed in range(4000)], axis=0)
    assert found == pytest.approx(repeats, abs=0.05)


def test_images_that_are_wanted_alike_are_not_rounded_up_together() -> None:
    """A fixed order would pair neighbors: of two halves in a row one is always rounded up, and never both."""
    pairs = {tuple(rounded(np.full(4, 0.5), RNG(seed)).tolist()) for seed in range(200)}
    assert len(pairs) == 6
