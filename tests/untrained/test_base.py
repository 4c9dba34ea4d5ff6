"""Contract tests of all methods."""

import inspect
import sys
from collections.abc import Callable

import numpy as np
import pytest

from fusionseg import untrained
from fusionseg.config.errors import UsageError
from fusionseg.data import SyntheticScenes
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.untrained import Canny, Felzenszwalb, KMeans, Method, RegionGrowing, SobelWatershed
from fusionseg.untrained.base import Photo

METHODS: list[Callable[[], Method]] = [
    kind
    for kind in vars(untrained).values()
    if inspect.isclass(kind) and issubclass(kind, Method) and kind is not Method
]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)


def square() -> tuple[Photo, np.ndarray]:
    """A bright square on a dark ground, with a little noise, and its regions."""
    rng = np.random.default_rng(0)
    region = np.ones((80, 100), np.int32)
    region[20:60, 30:70] = 2
    colors = np.array([[0.2, 0.2, 0.4], [0.9, 0.6, 0.3]], np.float32)
    photo = colors[region - 1] + rng.normal(0, 0.005, (*region.shape, 3)).astype(np.float32)
    return photo.clip(0, 1).astype(np.float32), region


def covering(prediction: np.ndarray, truth: np.ndarray) -> float:
    return region_figures(region_sums(prediction, truth))["covering"]


@every_method
def test_a_square_on_a_ground_is_two_regions(method: Callable[[], Method]) -> None:
    photo, region = square()
    found = method().regions(photo)
    assert found.dtype == np.int32
    assert found.min() == 1
    assert covering(np.ones_like(region), region) == pytest.approx(0.68)
    assert covering(found, region) > 0.8


@every_method
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_image_of_one_color_is_one_region(method: Callable[[], Method], value: float) -> None:
    found = method().regions(np.full((48, 64, 3), value, np.float32))
    assert (found == 1).all()


@every_method
def test_the_same_image_has_the_same_regions_whatever_was_drawn_before(method: Callable[[], Method]) -> None:
    image = SyntheticScenes("val", length=1, size=(64, 96)).read(0).image
    photo = image.astype(np.float32) / 255
    first = method().regions(photo)
    np.random.default_rng(7).random(100)
    np.random.seed(3)
    assert (method().regions(photo) == first).all()
    assert first.max() > 1 or method is Canny


@every_method
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5)])
def test_small_images_have_regions_too(method: Callable[[], Method], size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    found = method().regions(photo)
    assert found.shape == size
    assert found.min() >= 1


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (Felzenszwalb, {"scale": 0}, "expected a positive scale"),
        (SobelWatershed, {"depth": 0.0}, "a positive depth"),
        (RegionGrowing, {"spacing": 0}, "expected positive spacing"),
        (RegionGrowing, {"min_area": -1}, "expected sigma and min_area of 0 or more"),
        (KMeans, {"clusters": 1}, "at least 2 clusters, found 1"),
        (KMeans, {"texture": -0.5}, "expected texture, sigma and min_area of 0 or more"),
        (Canny, {"low": 0.9, "high": 0.5}, "0 <= low <= high < 1, found 0.9 and 0.5"),
        (Canny, {"sigma": 0.0}, "expected positive sigma"),
    ],
)
def test_arguments_out_of_range_are_refused(
    method: Callable[..., Method], arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(**arguments)


def test_without_scikit_image_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(UsageError, match=r'pip install "fusionseg\[untrained\]"'):
        Felzenszwalb().regions(np.zeros((8, 8, 3), np.float32))
