from itertools import pairwise

import numpy as np
import pytest

from fusionseg.corruptions.occlusion import SHARES, hidden, occlusion


@pytest.mark.parametrize("severity", range(1, 6))
def test_a_share_of_the_image_is_black_and_unlabelled_and_the_rest_as_it_was(severity: int) -> None:
    image = np.random.default_rng(0).integers(1, 256, (224, 336, 3), dtype=np.uint8)
    found = occlusion(image, severity, 2)
    black = (found == 0).all(2)
    assert black.mean() == pytest.approx(SHARES[severity - 1], abs=0.01)
    assert np.array_equal(found[~black], image[~black])
    change = hidden((224, 336), severity, 2)
    region = np.full((224, 336), 7, np.int64)
    assert np.array_equal(change.ids(region, 0) == 0, black)
    assert np.array_equal(change.ids(region, 255) == 255, black)
    normals = np.ones((224, 336, 3), np.float32)
    assert np.array_equal((change.values("normals", normals) == 0).all(2), black)


def test_patches_are_squares_of_a_fourteenth_of_the_shorter_side() -> None:
    mask = hidden((224, 336), 3, 0).mask((224, 336))
    blocks = mask.reshape(14, 16, 21, 16).swapaxes(1, 2).reshape(-1, 256)
    assert (blocks.all(1) | ~blocks.any(1)).all()


def test_a_label_map_of_another_size_is_hidden_at_the_same_place() -> None:
    small, large = hidden((224, 336), 3, 0), hidden((448, 672), 3, 0)
    assert np.array_equal(large.mask((448, 672))[::2, ::2], small.mask((224, 336)))


def test_more_is_hidden_and_nothing_else_at_a_higher_severity() -> None:
    masks = [hidden((112, 140), severity, 4).patches for severity in range(1, 6)]
    for less, more in pairwise(masks):
        assert (more | ~less).all()
