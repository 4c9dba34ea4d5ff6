"""What holds for every corruption."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fusionseg.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from fusionseg.data.synthetic import SyntheticScenes

every = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
SEEDED = {
    "gamma",
    "color_temperature",
    "motion_blur",
    "gaussian_noise",
    "shot_noise",
    "fog",
    "occlusion",
    "rotation",
    "perspective",
}
"""The corruptions that depend on the seed."""


def scene(size: tuple[int, int] = (112, 150)) -> npt.NDArray[np.uint8]:
    image = SyntheticScenes("val", 1, size).read(0).image
    assert image.dtype == np.uint8
    return image  # type: ignore[return-value]


def unit(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    top = 1.0 if image.dtype == np.float32 else float(np.iinfo(image.dtype).max)
    return image / top


@every
def test_the_image_is_distorted_the_more_the_higher_the_severity(corruption: Corruption) -> None:
    image = scene()
    before = image.copy()
    distances = [((unit(corruption.image(image, s, 3)) - unit(image)) ** 2).mean() for s in SEVERITIES]
    assert distances[0] > 1e-5
    # from one severity to the next fog gets not only thicker but also rougher
    rising = distances[:: 4 if corruption.name == "fog" else 1]
    assert (np.diff(rising) > 0).all(), distances
    assert np.array_equal(image, before), "the image that is given stays as it is"


@every
def test_it_is_a_function_of_the_seed(corruption: Corruption) -> None:
    image = scene()
    np.random.seed(1)
    first = corruption.image(image, 3, 5)
    np.random.seed(2)
    assert np.array_equal(corruption.image(image, 3, 5), first)
    others = [corruption.image(image, 3, seed) for seed in range(6, 14)]
    assert any(not np.array_equal(other, first) for other in others) == (corruption.name in SEEDED)


@every
@pytest.mark.parametrize("severity", SEVERITIES)
def test_images_of_all_types_look_the_same(corruption: Corruption, severity: int) -> None:
    image = scene((60, 80))
    expected = corruption.image(image, severity, 3)
    assert (expected.dtype, expected.shape) == (np.uint8, image.shape)
    deep = corruption.image(image.astype(np.uint16) * np.uint16(257), severity, 3)
    real = corruption.image(image.astype(np.float32) / np.float32(255), severity, 3)
    assert (deep.dtype, real.dtype) == (np.uint16, np.float32)
    assert real.min() >= 0
    assert real.max() <= 1
    for other in (deep, real):
        assert np.abs(unit(other) - unit(expected)).max() <= 0.51 / 255 + 1e-6


@every
@pytest.mark.parametrize("size", [(1, 700), (700, 1), (1, 1), (5, 3)])
def test_images_may_have_any_size(corruption: Corruption, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for severity in SEVERITIES:
        found = corruption.image(image, severity, 3)
        assert (found.shape, found.dtype) == (image.shape, image.dtype)
        if corruption.labels is not None:
            moved = corruption.labels(size, severity, 3).ids(np.ones(size, np.uint16), 0)
            assert (moved.shape, moved.dtype) == (size, np.uint16)


@every
def test_further_channels_are_corrupted_like_colors(corruption: Corruption) -> None:
    if corruption.rgb:
        return
    image = scene((60, 80))
    wide = np.dstack([image, image])
    found = corruption.image(wide, 3, 3)
    assert (found.shape, found.dtype) == (wide.shape, np.uint8)
    if corruption.family not in (
        "noise",
        "compression",
    ):  # each value has noise of its own; gray JPEGs differ
        expected = corruption.image(image, 3, 3)
        assert np.array_equal(found, np.dstack([expected, expected]))


@every
@pytest.mark.parametrize("severity", [0, 6, -1])
def test_another_severity_is_refused(corruption: Corruption, severity: int) -> None:
    with pytest.raises(ValueError, match=rf"^expected a severity in 1\.\.5, found {severity}$"):
        corruption.image(scene((20, 20)), severity, 0)


@every
def test_labels_move_exactly_as_the_image_does(corruption: Corruption) -> None:
    """An image that is its own label map is afterwards that of the labels, away from borders."""
    size = (90, 120)
    region = np.random.default_rng(0).integers(1, 4, (6, 8)).astype(np.uint8).repeat(15, 0).repeat(15, 1)
    image = np.dstack([region * 60] * 3)
    if corruption.labels is None:
        assert corruption.family not in ("geometric", "occlusion")
        return
    for severity in SEVERITIES:
        change = corruption.labels(size, severity, 7)
        moved = change.ids(region, 0)
        seen = corruption.image(image, severity, 7)[..., 0]
        pure = np.isin(seen, [60, 120, 180]) & (moved > 0)
        assert (moved == 0).any()
        assert pure.mean() > 0.3
        # a mixture of 60 and 180 may be 120, at borders alone
        assert (seen[pure] == 60 * moved[pure]).mean() > 0.99
        assert change.ids(region, 255).dtype == region.dtype
        assert np.array_equal(change.ids(region, 255) == 255, moved == 0)
        assert np.array_equal(change.values("other", region.astype(np.float32)), moved)


def test_names_are_unique_and_families_are_files() -> None:
    names = [corruption.name for corruption in CORRUPTIONS]
    assert len(set(names)) == len(names) == 15
    for corruption in CORRUPTIONS:
        assert corruption.image.__module__ == f"fusionseg.corruptions.{corruption.family}"
