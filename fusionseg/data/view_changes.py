"""Base class of what may happen to a view of a training image after its geometry and color."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import numpy as np

from fusionseg.data.base import Pixels


class Others(Protocol):
    """The other images of a dataset, for changes that mix several."""

    def another(self, rng: np.random.Generator) -> Pixels:
        """A view of an image that is drawn, of the same size, before its own changes."""

    @property
    def things(self) -> tuple[int, ...]:
        """The ids of the countable classes."""

    @property
    def color_channels(self) -> int:
        """The channels of an image without that of depth."""


class ViewChange(ABC):
    """A change of views, image and labels, each with a probability.

    Args:
        probability: How often a view is changed, in [0, 1].

    Attributes:
        needs_things: Whether it can do nothing with data without things.

    Raises:
        ValueError: An argument is out of its range.
    """

    needs_things: ClassVar[bool] = False

    def __init__(self, probability: float = 0.5) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"expected a probability in [0, 1], found {probability}")
        self.probability = probability

    def __call__(self, view: Pixels, rng: np.random.Generator, others: Others | None) -> Pixels:
        """The view, changed or not.

        Args:
            view: The image and its labels.
            rng: The only source of randomness.
            others: The other images; None where there are none.
        """
        return self.changed(view, rng, others) if rng.random() < self.probability else view

    @abstractmethod
    def changed(self, view: Pixels, rng: np.random.Generator, others: Others | None) -> Pixels:
        """The changed view, of the same size and types; the given one stays as it is."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families of `fusionseg.corruptions` that it shows."""
        return ()

    @property
    def moves(self) -> bool:
        """Whether a pixel of a changed view may show another place; true too where no family is named."""
        return "geometric" in self.families or not self.families
