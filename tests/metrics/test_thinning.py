import numpy as np
import pytest
from skimage.morphology import thin

from fusionseg.metrics.thinning import thinned


@pytest.mark.parametrize("density", [0.05, 0.3, 0.6, 0.9, 1.0])
def test_maps_are_thinned_as_scikit_image_and_matlab_do(density: float) -> None:
    maps = np.random.default_rng(0).random((6, 33, 47)) < density
    assert np.array_equal(thinned(maps), [thin(map_) for map_ in maps])


def test_broad_lines_become_one_pixel_wide() -> None:
    maps = np.zeros((1, 30, 40), bool)
    maps[0, 10:19, 3:37] = True
    lines = thinned(maps)
    assert lines.any(1).sum() >= 25
    assert lines.sum(1).max() == 1


def test_nothing_and_lines_stay_as_they_are() -> None:
    maps = np.zeros((2, 5, 5), bool)
    maps[1, 2] = True
    assert np.array_equal(thinned(maps), maps)
    assert thinned(np.zeros((0, 5, 5), bool)).shape == (0, 5, 5)
