"""Views of which a rectangle is erased."""

import math

import numpy as np
from typing_extensions import override

from fusionseg.corruptions.base import stored
from fusionseg.corruptions.occlusion import Hidden
from fusionseg.data.base import Labels, Pixels
from fusionseg.data.corrupting import moved
from fusionseg.data.view_changes import Others, ViewChange

TRIES = 10
"""Rectangles that are drawn until one fits; else the view stays as it is."""


class RandomErasing(ViewChange):
    """A rectangle of random values (Zhong et al., AAAI 2020, arXiv:1708.04896, algorithm 1).

    What is erased has no labels of any task, so that nobody learns to see what is not there.

    Args:
        area: The least and the greatest share of the view.
        ratio: The least and the greatest ratio of height to width.
        probability: How often a view is changed.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        area: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        probability: float = 0.5,
    ) -> None:
        super().__init__(probability)
        if not 0 < area[0] <= area[1] < 1:
            raise ValueError(f"expected areas 0 < least <= greatest < 1, found {tuple(area)}")
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise ValueError(f"expected ratios 0 < least <= greatest, found {tuple(ratio)}")
        self.area = area
        self.ratio = ratio

    @property
    @override
    def families(self) -> tuple[str, ...]:
        return ("occlusion",)

    @override
    def changed(self, view: Pixels, rng: np.random.Generator, others: Others | None) -> Pixels:
        height, width = view.semantic.shape
        for _ in range(TRIES):
            area = rng.uniform(*self.area) * height * width
            ratio = math.exp(rng.uniform(*np.log(self.ratio)))
            rows = round(math.sqrt(area * ratio))
            columns = round(math.sqrt(area / ratio))
            if 0 < rows < height and 0 < columns < width:
                top = rng.integers(height - rows + 1)
                left = rng.integers(width - columns + 1)
                return _erased(view, np.s_[top : top + rows, left : left + columns], rng)
        return view


def _erased(view: Pixels, place: tuple[slice, slice], rng: np.random.Generator) -> Pixels:
    """The view with random values and without labels at a place."""
    image = view.image.copy()
    image[place] = stored(rng.random(image[place].shape), image)
    mask = np.zeros(view.semantic.shape, bool)
    mask[place] = True
    return Pixels(image, *moved(Labels(*view[1:]), Hidden(mask)))
