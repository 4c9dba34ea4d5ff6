"""Noise of sensors, of each value by itself: it does not depend on the size of the image."""

import numpy as np

from fusionseg.corruptions.base import at, stored, unit
from fusionseg.files.photos import Photo

GAUSSIAN = (0.08, 0.12, 0.18, 0.26, 0.38)
PHOTONS = (60, 25, 12, 5, 3)


def gaussian_noise(image: Photo, severity: int, seed: int) -> Photo:
    """Normal noise of a standard deviation of 0.08 to 0.38 of white (as in ImageNet-C)."""
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
    return stored(unit(image) + at(severity, GAUSSIAN) * noise, image)


def shot_noise(image: Photo, severity: int, seed: int) -> Photo:
    """Poisson noise of light, of which white is 60 to 3 photons (as in ImageNet-C)."""
    photons = at(severity, PHOTONS)
    return stored(np.random.default_rng(seed).poisson(unit(image) * photons) / photons, image)
