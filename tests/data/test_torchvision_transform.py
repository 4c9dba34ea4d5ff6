from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from fusionseg.data import SyntheticScenes, TorchvisionTransform
from fusionseg.data.base import Pixels

PHOTOMETRIC = [
    partial(v2.ColorJitter, 0.4, 0.4, 0.4, 0.1),
    partial(v2.GaussianBlur, 5),
    partial(v2.GaussianNoise),
    partial(v2.RandomAdjustSharpness, 3, 1.0),
    partial(v2.RandomAutocontrast, 1.0),
    partial(v2.RandomChannelPermutation),
    partial(v2.RandomEqualize, 1.0),
    partial(v2.RandomGrayscale, 1.0),
    partial(v2.RandomInvert, 1.0),
    partial(v2.RandomPhotometricDistort),
    partial(v2.RandomPosterize, 3, 1.0),
    partial(v2.RandomSolarize, 100, 1.0),
]
GEOMETRIC = [
    partial(v2.RandomHorizontalFlip, 0.5),
    partial(v2.RandomRotation, 30),
    partial(v2.RandomCrop, 16),
    partial(v2.Resize, 16),
    partial(v2.RandomAffine, 10),
    partial(v2.RandomPerspective, 0.5, 1.0),
    partial(v2.RandAugment),
    partial(v2.ElasticTransform),
    partial(v2.Compose, [v2.RandomInvert(1.0), v2.RandomVerticalFlip(1.0)]),
]


def name(recipe: Any) -> str:
    return str(recipe.func.__name__)


def view(channels: int = 3) -> Pixels:
    given = SyntheticScenes("train", 1, (48, 64)).read(0)
    return given._replace(image=np.dstack([given.image] * 2)[..., :channels])


@pytest.mark.parametrize("recipe", PHOTOMETRIC, ids=name)
def test_every_photometric_transform_changes_values_alone(recipe: Any) -> None:
    before = view()
    change = TorchvisionTransform(recipe)
    results = [change(before, np.random.default_rng(seed), None) for seed in range(4)]
    for found in results:
        assert (found.image.dtype, found.image.shape) == (np.uint8, before.image.shape)
        assert found.semantic is before.semantic
        assert found.region is before.region
    assert any(not np.array_equal(found.image, before.image) for found in results)


@pytest.mark.parametrize("recipe", GEOMETRIC, ids=name)
def test_a_transform_that_moves_pixels_is_refused(recipe: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^expected a photometric transform|cannot be used on an image with label"
    ):
        TorchvisionTransform(recipe)


def test_its_chance_is_the_generator_alone() -> None:
    change = TorchvisionTransform(partial(v2.ColorJitter, 0.4))
    torch.manual_seed(1)
    first = change(view(), np.random.default_rng(3), None).image
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert np.array_equal(change(view(), np.random.default_rng(3), None).image, first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "that of torch is left as it was"
    assert not np.array_equal(change(view(), np.random.default_rng(4), None).image, first)


def test_values_are_those_of_the_functional_form() -> None:
    tensor = torch.from_numpy(view().image).permute(2, 0, 1)
    found = TorchvisionTransform(partial(v2.ColorJitter, brightness=(1.5, 1.5)))(
        view(), np.random.default_rng(0), None
    )
    assert np.array_equal(found.image, tv.adjust_brightness(tensor, 1.5).permute(1, 2, 0))


@pytest.mark.parametrize(("dtype", "top"), [(np.uint16, 65535), (np.float32, 1)])
def test_images_of_all_types_look_the_same(dtype: type, top: int) -> None:
    change = TorchvisionTransform(partial(v2.ColorJitter, brightness=(0.7, 0.7), contrast=(1.2, 1.2)))
    expected = change(view(), np.random.default_rng(0), None).image / 255
    wide = view()._replace(image=(view().image / 255 * top).astype(dtype))
    found = change(wide, np.random.default_rng(0), None).image
    assert found.dtype == dtype
    assert np.abs(found / top - expected).max() < 0.02


def test_further_channels_stay_as_they_are() -> None:
    given = view(5)
    found = TorchvisionTransform(partial(v2.RandomInvert, 1.0))(given, np.random.default_rng(0), None).image
    assert np.array_equal(found[..., :3], 255 - given.image[..., :3])
    assert np.array_equal(found[..., 3:], given.image[..., 3:])


def test_families_are_those_of_the_transforms_inside() -> None:
    assert TorchvisionTransform(partial(v2.GaussianBlur, 5)).families == ("blur",)
    both = partial(v2.Compose, [v2.GaussianBlur(3), v2.RandomChoice([v2.ColorJitter(), v2.GaussianNoise()])])
    assert TorchvisionTransform(both).families == ("blur", "photometric", "noise")
