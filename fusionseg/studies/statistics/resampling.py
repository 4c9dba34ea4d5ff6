"""Which images a bootstrap draws: single images, whole groups, or blocks of frames within few sequences."""

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from fusionseg.studies.statistics.intervals import check_level

Floats: TypeAlias = npt.NDArray[np.float64]

FEW_GROUPS = 10
"""Below so many groups an interval says nothing about others."""


class ImageResampling:
    """Draws the images of a data set with replacement, as often as there are.

    What is drawn is what can be taken as independent. Where the images have groups (sequences, cities,
    scenes), neighbors are alike: 10 groups and more are drawn as a whole. Fewer cannot tell how much groups
    differ; then blocks of consecutive images, a fifth of a group and at least sqrt(n), are drawn within each
    (circular block bootstrap, Politis and Romano 1992), and the interval speaks of these groups only. Images
    of a group are taken to be in the order in which they were recorded.

    >>> resampling = ImageResampling(6, resamples=2, seed=0)
    >>> next(resampling.weights()).tolist()
    [[1.0, 2.0, 0.0, 2.0, 0.0, 1.0], [2.0, 1.0, 0.0, 1.0, 1.0, 1.0]]
    >>> ImageResampling(60, groups=["first"] * 30 + ["second"] * 30).note
    'within these sequences only'

    Args:
        images: The number of images.
        groups: The group of each image; where left out, every image stands for itself.
        resamples: How often the images are drawn.
        seed: The seed of the draws.

    Attributes:
        groups: The number of groups; without groups that of images.
        unit: What is drawn: "image", "group" or "block".
        freedom: How many more units than strata they are drawn from: 1 or more for an interval.
        note: What an interval does not speak of; empty where there is nothing to say.

    Raises:
        ValueError: If there are no images, no resamples, or not one group for each image.
    """

    def __init__(
        self, images: int, groups: Sequence[Hashable] | None = None, resamples: int = 2000, seed: int = 0
    ) -> None:
        if images < 1 or resamples < 1:
            raise ValueError(f"expected images and resamples, found {images} and {resamples}")
        if groups is not None and len(groups) != images:
            raise ValueError(f"expected the group of each of {images} images, found {len(groups)} groups")
        numbers: dict[Hashable, int] = {}
        owners = range(images) if groups is None else [numbers.setdefault(g, len(numbers)) for g in groups]
        self.images = images
        self.resamples = resamples
        self.seed = seed
        self.groups = images if groups is None else len(numbers)
        self._owner = np.array(owners)
        few = self.groups < FEW_GROUPS
        self.unit = "image" if groups is None else "block" if few else "group"
        self._members = [np.flatnonzero(self._owner == g) for g in range(self.groups if few else 0)]
        self._strata = len(self._members) if self.unit == "block" else 1
        blocks = sum(len(members) // _block(len(members)) for members in self._members)
        self._units = blocks if self.unit == "block" else self.groups
        self.freedom = self._units - self._strata
        self.note = self._note(few)

    def weights(self, chunk: int = 256) -> Iterator[Floats]:
        """How often each image is drawn, some resamples at a time (r, N); the same at every call.

        Args:
            chunk: So many resamples at a time; the draws do not depend on it.
        """
        generator = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, chunk):
            number = min(chunk, self.resamples - start)
            if self.unit == "block":
                yield self._drawn_blocks(generator, number)
            else:
                drawn = generator.integers(self.groups, size=(number, self.groups))
                yield _counts(drawn, self.groups)[:, self._owner]

    def quantiles(self, values: Floats, level: float = 0.95) -> tuple[float, float]:
        """The expanded percentile interval of resampled values (Hesterberg 2015, section 4.1).

        Percentiles of few units are too narrow, as the normal distribution is and as the divisor n is. The
        share beyond each end is therefore `Phi(-sqrt(n / (n - 1)) * t)`, with Student's t of n - 1 degrees of
        freedom, instead of `Phi(-z)`.

        Args:
            values: The value of each resample; NaN where it is not defined.
            level: The level of the interval, in (0, 1).

        Returns:
            The ends; NaN where too few units vary, or no value is defined.

        Raises:
            ValueError: If the level is not between 0 and 1.
        """
        check_level(level)
        known = values[~np.isnan(values)]
        if self.freedom < 1 or not known.size:
            return math.nan, math.nan
        t = float(special.stdtrit(self.freedom, (1 + level) / 2))
        tail = float(special.ndtr(-math.sqrt(self._units / self.freedom) * t))
        low, high = np.quantile(known, [tail, 1 - tail])
        return float(low), float(high)

    def _note(self, few: bool) -> str:
        if self.freedom < 1:
            return "no interval: too few images"
        if not few:
            return ""
        return f"within these {'images' if self.unit == 'image' else 'sequences'} only"

    def _drawn_blocks(self, generator: np.random.Generator, number: int) -> Floats:
        """How often each image is in blocks that are drawn within its group (r, N)."""
        lengths = [len(members) for members in self._members]
        numbers = [math.ceil(length / _block(length)) for length in lengths]
        # resample by resample, so that the draws do not depend on how many are made at a time
        starts = generator.integers(np.repeat(lengths, numbers), size=(number, sum(numbers)))
        drawn = np.zeros((number, self.images))
        ends = np.cumsum(numbers)[:-1]
        for members, first in zip(self._members, np.split(starts, ends, axis=1), strict=True):
            length = len(members)
            positions = (first[..., None] + np.arange(_block(length))).reshape(number, -1)[:, :length]
            drawn[:, members] = _counts(positions % length, length)
        return drawn


def _block(length: int) -> int:
    """How many consecutive images of a group of so many are drawn together: a fifth, at least sqrt(n)."""
    return max(math.ceil(length / 5), math.isqrt(length - 1) + 1)


def _counts(drawn: npt.NDArray[np.int64], size: int) -> Floats:
    """How often each of `size` numbers is in each row (R, size)."""
    rows = np.arange(len(drawn))[:, None]
    counts = np.bincount((rows * size + drawn).ravel(), minlength=len(drawn) * size)
    return counts.reshape(-1, size).astype(np.float64)
