"""Changes of light, exposure and color: of each pixel by itself, and the image's mean."""

import numpy as np
import numpy.typing as npt

from fusionseg.corruptions.base import at, stored, unit
from fusionseg.files.photos import Photo

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
GAMMA = (1.4, 1.8, 2.3, 3.0, 4.0)
MIREDS = (30, 60, 90, 120, 150)

PLANCK = 1.438777e-2
"""The second radiation constant h c / k, in m K."""

WAVELENGTHS = (600e-9, 540e-9, 450e-9)
"""Where red, green and blue sensors see, in m."""


def brightness(image: Photo, severity: int, seed: int) -> Photo:
    """More light: value V of HSV is raised by 0.1 to 0.5, hue and saturation stay (as in ImageNet-C).

    Of images of more channels V is the largest of all.
    """
    values = unit(image)
    largest = values.max(axis=2, keepdims=True)
    raised = (largest + at(severity, BRIGHTNESS)).clip(0, 1)
    return stored(np.where(largest > 0, values / np.where(largest > 0, largest, 1), 1) * raised, image)


def contrast(image: Photo, severity: int, seed: int) -> Photo:
    """Less contrast: the distance to each channel's mean times 0.4 to 0.05 (as in ImageNet-C)."""
    values = unit(image)
    mean = values.mean(axis=(0, 1), keepdims=True)
    return stored((values - mean) * at(severity, CONTRAST) + mean, image)


def gamma(image: Photo, severity: int, seed: int) -> Photo:
    """Another tone curve: values to the power of 1.4 to 4, or of one over that; the seed says which."""
    exponent = at(severity, GAMMA)
    darker = np.random.default_rng(seed).random() < 0.5
    return stored(unit(image) ** np.float32(exponent if darker else 1 / exponent), image)


def color_temperature(image: Photo, severity: int, seed: int) -> Photo:
    """A wrong white balance, by 30 to 150 mired (1e6 / kelvin): too warm or too cold; the seed says which.

    Light that glows at a temperature T gives narrow sensors at wavelength l a response in proportion to
    exp(-c2 / (l T)), by Wien's approximation of Planck's law (Finlayson & Hordley, JOSA A 2001, eq. 2), so
    that another temperature is a factor on the linear values of each channel. That of green is kept 1. Values
    are linear behind the transfer function of sRGB (IEC 61966-2-1).
    """
    warmer = np.random.default_rng(seed).random() < 0.5
    shift = at(severity, MIREDS) * (1 if warmer else -1)
    return stored(_encoded(_linear(unit(image)) * gains(shift)), image)


def gains(mireds: float) -> npt.NDArray[np.float32]:
    """The factors (3,) of linear red, green and blue where light is warmer by some mireds.

    >>> [round(float(gain), 2) for gain in gains(100)]
    [1.31, 1.0, 0.59]
    """
    logarithms = -PLANCK / np.array(WAVELENGTHS) * mireds * 1e-6
    factors: npt.NDArray[np.float32] = np.exp(logarithms - logarithms[1]).astype(np.float32)
    return factors


def _linear(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Values of sRGB in proportion to the light."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Light as values of sRGB."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
