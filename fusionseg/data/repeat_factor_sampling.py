"""Repeats of images with rare classes, as LVIS trains with."""

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.data.rounding import Repeats
from fusionseg.data.sampling import Sampling, inverse_frequencies, largest_of_shown


class RepeatFactorSampling(Sampling):
    """Images with rare classes several times in each epoch, and all others once.

    Repeat factor sampling (Gupta et al., LVIS, CVPR 2019, arXiv:1908.03195, section on repeat factor
    sampling): a class c that a share f(c) of the images shows has the factor r(c) = max(1, sqrt(t / f(c))),
    and an image has the largest of its classes. Epochs become longer by the repeats.

    Args:
        threshold: t, the share of images below which a class counts as rare, in (0, 1].

    Raises:
        ValueError: The threshold is out of its range.
    """

    def __init__(self, threshold: float = 0.001) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"expected a threshold in (0, 1], found {threshold}")
        self.threshold = threshold

    @override
    def repeats(self, counts: npt.NDArray[np.int64]) -> Repeats:
        factors = np.maximum(1, np.sqrt(self.threshold * inverse_frequencies(counts)))
        return largest_of_shown(factors, counts)
