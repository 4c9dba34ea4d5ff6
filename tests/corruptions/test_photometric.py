"""Against Matplotlib's HSV, plain formulas, torchvision and Planck's law."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from scipy import constants
from torchvision.transforms.v2 import functional as tv

from fusionseg.corruptions.photometric import (
    BRIGHTNESS,
    CONTRAST,
    GAMMA,
    WAVELENGTHS,
    brightness,
    color_temperature,
    contrast,
    gains,
    gamma,
)


def image(seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.random((40, 50, 3), np.float32)
    values[:3] = 0
    values[3:5] = values[3:5, :, :1]
    return values


@pytest.mark.parametrize("severity", range(1, 6))
def test_brightness_raises_the_value_of_hsv(severity: int) -> None:
    hsv = rgb_to_hsv(image())
    hsv[..., 2] = (hsv[..., 2] + BRIGHTNESS[severity - 1]).clip(0, 1)
    assert np.abs(brightness(image(), severity, 0) - hsv_to_rgb(hsv)).max() < 1e-5


@pytest.mark.parametrize("severity", range(1, 6))
def test_contrast_blends_with_the_mean_of_each_channel(severity: int) -> None:
    share = CONTRAST[severity - 1]
    for channel in range(3):
        plane = image()[..., channel].astype(np.float64)
        expected = share * plane + (1 - share) * plane.mean()
        assert np.abs(contrast(image(), severity, 0)[..., channel] - expected).max() < 1e-5


@pytest.mark.parametrize("severity", range(1, 6))
def test_gamma_is_that_of_torchvision_in_either_direction(severity: int) -> None:
    tensor = torch.from_numpy(image()).permute(2, 0, 1)
    both = [
        tv.adjust_gamma(tensor, g).permute(1, 2, 0).numpy()
        for g in (GAMMA[severity - 1], 1 / GAMMA[severity - 1])
    ]
    found = [gamma(image(), severity, seed) for seed in range(20)]
    near = np.array([[np.abs(f - expected).max() < 1e-5 for expected in both] for f in found])
    assert (near.sum(1) == 1).all()
    assert near.any(0).all(), "the seed says the direction"


def test_light_of_another_temperature_changes_channels_as_plancks_law_says() -> None:
    daylight = 6500.0

    def radiance(wavelength: float, temperature: float) -> float:
        exponent = constants.h * constants.c / (wavelength * constants.k * temperature)
        return float(wavelength**-5 / np.expm1(exponent))

    for shift in (-60, 30, 100, 150):
        other = 1e6 / (1e6 / daylight + shift)
        ratios = np.array([radiance(w, other) / radiance(w, daylight) for w in WAVELENGTHS])
        # Wien's approximation of Planck's law leaves out 1 in exp(..) - 1
        assert gains(shift) == pytest.approx(ratios / ratios[1], rel=0.04)


def test_a_warm_white_has_more_red_and_a_cold_one_more_blue() -> None:
    gray = np.full((4, 4, 3), 0.4, np.float32)
    found = [color_temperature(gray, 4, seed)[0, 0] for seed in range(20)]
    warm = [red > green > blue for red, green, blue in found]
    assert 0 < sum(warm) < 20
    assert all(
        red < green < blue for (red, green, blue), is_warm in zip(found, warm, strict=True) if not is_warm
    )
    assert all(green == pytest.approx(0.4, abs=1e-5) for _, green, _ in found)


def test_the_transfer_function_is_that_of_srgb() -> None:
    """0.5 is 21.404 percent of the light, times the gains, and back by the inverse, computed by hand."""
    light = 0.21404
    gray = np.full((1, 1, 3), 0.5, np.float32)
    seed = next(s for s in range(9) if np.random.default_rng(s).random() < 0.5)
    red, _, blue = color_temperature(gray, 1, seed)[0, 0]
    for value, factor in ((red, gains(30)[0]), (blue, gains(30)[2])):
        assert value == pytest.approx(1.055 * (light * factor) ** (1 / 2.4) - 0.055, abs=1e-4)
