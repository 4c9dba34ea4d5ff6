"""What is done to predicted boundaries before they are matched, and how far from a true one they may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from fusionseg.config.errors import UserError


@dataclass(frozen=True)
class BoundaryRules:
    """The choices that papers make differently; by default those of the Berkeley benchmark.

    Args:
        max_distance: Largest distance of two matched pixels, as a fraction of the image's diagonal; 0.0075
            for BSDS500, 0.011 for NYUD.
        max_pixels: The same in pixels, in place of the fraction.
        nms: Whether soft maps go through Dollar's non-maximum suppression first, as in most papers since
            2013.
        thin: Whether predictions are thinned at each threshold.

    Raises:
        UserError: If a distance is out of its range.
    """

    max_distance: float = 0.0075
    max_pixels: float | None = None
    nms: bool = False
    thin: bool = True

    def __post_init__(self) -> None:
        if self.max_pixels is None and not 0 < self.max_distance < 1:
            raise UserError(
                f"expected max_distance in (0, 1), a share of the diagonal, found {self.max_distance}"
            )
        if self.max_pixels is not None and not self.max_pixels >= 0:
            raise UserError(f"expected max_pixels of at least 0, found {self.max_pixels}")

    def radius(self, shape: Sequence[int]) -> float:
        """The largest distance in pixels in an image of a shape (H, W)."""
        return self.max_distance * hypot(*shape) if self.max_pixels is None else self.max_pixels


BERKELEY = BoundaryRules()
"""The rules of the Berkeley benchmark."""
