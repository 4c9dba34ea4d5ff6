"""Draws images by the inverse frequency of their rarest classes."""

import math

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.rounding import Repeats
from fusionseg.data.sampling import Sampling, inverse_frequencies, largest_of_shown


class BalancedSampling(Sampling):
    """Images by the inverse frequency of their rarest class, in epochs of the usual length.

    A class c that a share f(c) of the images shows has the weight 1 / f(c), and an image has the largest
    weight of its classes. Images with common classes alone then come less than once in an epoch, and one with
    a rare class several times.

    Args:
        power: The weight is raised to it: 1 is the inverse frequency, 0.5 its root, and 0 draws all images
            alike.

    Raises:
        ValueError: The power is negative or not finite.
    """

    def __init__(self, power: float = 1.0) -> None:
        if not 0 <= power < math.inf:
            raise ValueError(f"expected a power of 0 or more, found {power}")
        self.power = power

    @override
    def repeats(self, counts: npt.NDArray[np.int64]) -> Repeats:
        weights = largest_of_shown(inverse_frequencies(counts) ** self.power, counts)
        repeats: Repeats = weights * (len(weights) / weights.sum())
        return repeats
