from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.data.augmentation import Augmentation
from fusionseg.data.base import Pixels
from fusionseg.data.crops import TRIES, centered, class_histogram, is_varied, view
from fusionseg.data.samples import TrainSamples
from fusionseg.data.synthetic import SyntheticScenes

RNG = np.random.default_rng
Map = npt.NDArray[np.uint8]


def scene(seed: int = 0, size: tuple[int, int] = (60, 90)) -> Pixels:
    """Mostly one class, with some blocks of others and of void."""
    rng = RNG(seed)
    semantic = np.zeros(size, np.uint8)
    for label in (1, 2, 255, 3):
        top, left = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        semantic[top : top + 12, left : left + 12] = label
    return Pixels(rng.integers(0, 256, (*size, 3), np.uint8), semantic, np.ones(size, np.uint16))


def by_mmsegmentation(semantic: Map, crop: tuple[int, int], ratio: float, rng: np.random.Generator) -> Map:
    """`RandomCrop.crop_bbox` of mmsegmentation, restated, with the generator of an augmentation.

    A crop that is the last of ten is taken without another look.
    """
    for _ in range(3):  # an augmentation draws zoom, rotation and mirroring first
        rng.random()

    def cut() -> Map:
        x, y = rng.random(2)
        top, left = (int(p * (n - c + 1)) for p, n, c in zip((y, x), semantic.shape, crop, strict=True))
        return semantic[top : top + crop[0], left : left + crop[1]]

    found = cut()
    if ratio < 1:
        for _ in range(10):
            labels, counts = np.unique(found, return_counts=True)
            counts = counts[labels != 255]
            if len(counts) > 1 and np.max(counts) / np.sum(counts) < ratio:
                break
            found = cut()
    return found


@pytest.mark.parametrize("ratio", [0.5, 0.75, 0.9, 1.0])
def test_crops_are_redrawn_as_by_mmsegmentation(ratio: float) -> None:
    plain = partial(Augmentation, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    differing = 0
    for seed in range(60):
        pixels = scene(seed)
        found = plain(cat_max_ratio=ratio)(pixels, (32, 32), 1.0, RNG(seed)).semantic
        assert np.array_equal(found, by_mmsegmentation(pixels.semantic, (32, 32), ratio, RNG(seed)))
        differing += not np.array_equal(found, plain()(pixels, (32, 32), 1.0, RNG(seed)).semantic)
    assert (differing > 10) == (ratio < 1)


@pytest.mark.parametrize(
    ("rows", "most", "expected"),
    [
        ([[0, 0, 1, 1]], 0.6, True),
        ([[0, 0, 1, 1]], 0.5, False),
        ([[0, 0, 0, 1]], 0.75, False),
        ([[0, 0, 0, 0]], 0.99, False),
        ([[0, 0, 255, 1]], 0.67, True),
        ([[255, 255, 255, 255]], 0.9, False),
    ],
)
def test_void_counts_nowhere_and_the_share_itself_is_too_much(
    rows: list[list[int]], most: float, expected: bool
) -> None:
    assert is_varied(np.array(rows, np.uint8), most) is expected


def test_a_histogram_counts_every_class_but_void() -> None:
    semantic = RNG(0).integers(0, 256, (70, 90), np.uint8)
    assert class_histogram(semantic).tolist() == [int((semantic == label).sum()) for label in range(255)]


def test_the_last_try_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    kept = Augmentation._crop

    def counted(*args: Any) -> Any:
        drawn.append(1)
        return kept(*args)

    monkeypatch.setattr(Augmentation, "_crop", counted)
    dull = scene()._replace(semantic=np.zeros((60, 90), np.uint8))
    Augmentation(cat_max_ratio=0.75)(dull, (32, 32), 1.0, RNG(0))
    assert len(drawn) == TRIES + 1
    Augmentation()(dull, (32, 32), 1.0, RNG(0))
    assert len(drawn) == TRIES + 2


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [(100, 140), (40, 200)])
def test_a_crop_has_the_pixel_at_its_center_or_ends_at_the_border(
    size: tuple[int, int], zoom: float, mirror: float
) -> None:
    crop = (64, 32)
    for seed in range(40):
        pixel = RNG(seed).random(2) * size[::-1]
        warp = view(size, crop, zoom, 0.0, mirror, centered(pixel, size, crop, zoom, 0.0, mirror))
        center = warp @ (crop[1] / 2, crop[0] / 2, 1.0)
        for place, wanted, side, extent in zip(
            center, pixel, size[::-1], np.array(crop[::-1]) / zoom, strict=True
        ):
            low, high = sorted((extent / 2, side - extent / 2))
            assert abs(place - np.clip(wanted, low, high)) <= 1, "whole pixels"


def test_a_turned_crop_within_the_image_has_the_pixel_at_its_center() -> None:
    place = ((64, 48), 1.3, 0.4, -1.0)
    warp = view((300, 300), *place, centered(np.array([140.5, 170.5]), (300, 300), *place))
    assert np.abs(warp @ (24, 32, 1) - (140.5, 170.5)).max() <= 1


def class_views(seed: int, **options: Any) -> list[Map]:
    """Views of one image around drawn classes, of which class 3 is rare in the data."""
    augmentation = Augmentation(rotation=0.0, class_crops=1.0, **options)
    augmentation.balance(np.array([9000, 800, 150, 50]))
    return [augmentation(scene(seed), (32, 32), 1.0, RNG(k)).semantic for k in range(100)]


def test_crops_around_drawn_classes_show_the_rare_ones() -> None:
    shown = np.mean([(found == 3).any() for found in class_views(0)])
    plain = Augmentation(rotation=0.0)
    by_chance = np.mean([(plain(scene(), (32, 32), 1.0, RNG(k)).semantic == 3).any() for k in range(100)])
    assert shown > 0.45 > by_chance + 0.1


def test_a_low_temperature_draws_the_rarest_class_of_an_image_alone() -> None:
    assert all((found == 3).any() for found in class_views(0, class_temperature=1e-4))


def test_an_image_without_classes_is_cropped_anywhere() -> None:
    void = scene()._replace(semantic=np.full((60, 90), 255, np.uint8))
    augmentation = Augmentation(class_crops=1.0)
    augmentation.balance(np.array([1, 1]))
    assert (augmentation(void, (32, 32), 1.0, RNG(0)).semantic == 255).all()


def test_both_work_together_and_are_a_function_of_the_key() -> None:
    def samples() -> TrainSamples:
        augmentation = Augmentation(class_crops=0.5, cat_max_ratio=0.6)
        augmentation.balance(np.array([50000, 30000, 90, 100, 100, 100]))
        return TrainSamples(SyntheticScenes("train", length=3), augmentation, (64, 64), seed=2)

    first, second = samples(), samples()
    for key in ((0, 1), (3, 2), (3, 2, 1)):
        ours, theirs = first[key], second[key]
        assert all((ours[name] == theirs[name]).all() for name in ("image", "semantic", "region"))
    assert (first[3, 2]["semantic"] != first[3, 2, 1]["semantic"]).any()


def test_without_them_views_are_what_they_were() -> None:
    """Nothing more is drawn from the generator."""
    found, other = (
        Augmentation(**options)(scene(), (32, 32), 1.0, RNG(5))
        for options in ({}, {"cat_max_ratio": 1.0, "class_crops": 0.0, "class_temperature": 3.0})
    )
    assert np.array_equal(found.image, other.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cat_max_ratio": 0.0}, r"a cat_max_ratio in \(0, 1\], found 0.0"),
        ({"cat_max_ratio": 1.1}, "found 1.1"),
        ({"class_crops": 1.5}, r"a probability of crops of drawn classes in \[0, 1\], found 1.5"),
        ({"class_temperature": 0.0}, "a temperature above 0, found 0.0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**arguments)  # type: ignore[arg-type]
