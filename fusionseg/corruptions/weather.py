"""Weather: fog."""

import cv2
import numpy as np
import numpy.typing as npt

from fusionseg.corruptions.base import at, size_of, stored, unit
from fusionseg.files.photos import Photo

FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))


def fog(image: Photo, severity: int, seed: int) -> Photo:
    """Fog of a thickness of 1.5 to 3 times white, in swathes.

    The formula and its parameters are those of ImageNet-C: x becomes (x + t f) m / (m + t), where t is the
    thickness, f the fractal and m the largest value of the image.
    """
    thickness, decay = at(severity, FOG)
    values = unit(image)
    swathes = fractal(size_of(image), decay, np.random.default_rng(seed))
    largest = float(values.max())
    return stored((values + thickness * swathes[..., None]) * largest / (largest + thickness), image)


def fractal(size: tuple[int, int], decay: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Cloudy values (H, W) from 0 to 1: noise of lattices, each twice as fine as the one before.

    The noise of a lattice is `decay` squared times less than that of the one before, as in the diamond-square
    algorithm of ImageNet-C; the first lattice halves the longer side. Lattices are joined by cubics in place
    of midpoints, so that the image may have any size.

    Args:
        size: Height and width.
        decay: How fast noise gets less; the larger, the smoother.
        rng: The only source of randomness.
    """
    side = max(size)
    added = np.zeros((side, side), np.float32)
    cells = 2
    weight = 1.0
    while True:
        lattice = rng.uniform(-weight, weight, (cells + 1, cells + 1)).astype(np.float32)
        added += cv2.resize(lattice, (side, side), interpolation=cv2.INTER_CUBIC)
        if cells + 1 >= side:
            break
        cells *= 2
        weight /= decay**2
    seen = added[: size[0], : size[1]]
    span = float(seen.max() - seen.min())
    swathes: npt.NDArray[np.float32] = (seen - seen.min()) / (span or 1)
    return swathes
