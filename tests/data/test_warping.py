import cv2
import numpy as np
import pytest

from fusionseg.data.crops import view
from fusionseg.data.warping import image_view, warped

RNG = np.random.default_rng


@pytest.mark.parametrize("size", [(80, 120), (33, 20)])
def test_only_views_beyond_the_border_need_the_mean_color(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view is the same as with the mean of the whole image, which is not computed where nobody sees it."""
    image = RNG(0).integers(0, 256, (*size, 3), np.uint8)
    mean = cv2.mean(image)
    asked = []
    monkeypatch.setattr(cv2, "mean", lambda group: asked.append(1) or mean)
    for seed in range(200):
        rng = RNG(seed)
        zoom, turn = np.exp(rng.uniform(-0.6, 0.6)), rng.choice([0.0, rng.uniform(-0.3, 0.3)])
        warp = view(size, (32, 48), zoom, turn, rng.choice([-1.0, 1.0]), rng.random(2))
        expected = warped(image, warp, (32, 48), cv2.INTER_LINEAR, mean)
        assert np.array_equal(image_view(image, warp, (32, 48)), expected)
    assert (0 < len(asked) < 200) == (size == (80, 120))


def test_a_copy_of_the_whole_image_needs_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    image = RNG(1).integers(0, 256, (40, 60, 6), np.uint8)
    monkeypatch.setattr(cv2, "mean", lambda group: pytest.fail("asked"))
    for mirror in (1.0, -1.0):
        warp = view((40, 60), (40, 60), 1.0, 0.0, mirror, np.zeros(2))
        assert np.array_equal(image_view(image, warp, (40, 60)), image[:, :: int(mirror)])
