"""Draws a class that an image shows, rare ones more often, and one of its pixels."""

import math

import numpy as np
import numpy.typing as npt

from fusionseg.data.crops import class_histogram

Pixel = npt.NDArray[np.float64]


class ClassDraw:
    """Draws pixels of rare classes.

    The chance of a class c among those that an image shows is proportional to exp((1 - f(c)) / T), with f(c)
    its share of the labelled pixels of all training images: rare class sampling (Hoyer et al., DAFormer, CVPR
    2022, arXiv:2111.14887, equation 10), within an image.

    Args:
        temperature: T: with a low one rare classes alone are drawn, with a high one all alike.

    Raises:
        ValueError: The temperature is not above 0.
    """

    def __init__(self, temperature: float) -> None:
        if not 0 < temperature < math.inf:
            raise ValueError(f"expected a temperature above 0, found {temperature}")
        self.temperature = temperature
        self.shares: npt.NDArray[np.float64] | None = None

    def balance(self, class_pixels: npt.NDArray[np.int64]) -> None:
        """Tells how frequent the classes are.

        Args:
            class_pixels: The number of pixels of each class in the training images (C,).
        """
        self.shares = class_pixels / max(1, class_pixels.sum())

    def chances(self, shown: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The chance of each of some classes to be drawn.

        Args:
            shown: Their ids.

        Raises:
            ValueError: Nobody told how frequent classes are.
        """
        if self.shares is None:
            raise ValueError("expected to know how frequent classes are: call `balance` first")
        rarest = self.shares[shown].min()
        chances = np.exp(
            (rarest - self.shares[shown]) / self.temperature
        )  # at most 1, so that none overflows
        normalized: npt.NDArray[np.float64] = chances / chances.sum()
        return normalized

    def pixel(self, semantic: npt.NDArray[np.uint8], rng: np.random.Generator) -> Pixel | None:
        """The center (x, y) of a pixel of a class that is drawn; None where no pixel has a class.

        Args:
            semantic: Class ids (H, W).
            rng: The only source of randomness.
        """
        shown = np.flatnonzero(class_histogram(semantic))
        if not len(shown):
            return None
        label = rng.choice(shown, p=self.chances(shown))
        places = np.flatnonzero(semantic == label)
        y, x = divmod(int(places[rng.integers(len(places))]), semantic.shape[1])
        return np.array([x + 0.5, y + 0.5])
