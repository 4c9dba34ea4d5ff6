"""Regions that thin edges enclose."""

import numpy as np
import numpy.typing as npt

from fusionseg.heads.region_decoding import filled, numbered
from fusionseg.sample import IntMap
from fusionseg.untrained.base import Method, Photo, skimage


class Canny(Method):
    """Finds edges (Canny, PAMI 1986); what they enclose is a region, and their pixels join the nearest one.

    Edges rarely close, so that few regions are found: it is scored by its edges (`contours`) where boundaries
    are scored.

    Args:
        sigma: Standard deviation of the Gaussian that smooths the brightness first, in pixels.
        low: An edge goes on while its strength is above this quantile of the image's gradient.
        high: An edge begins above this one.
        min_area: Regions of fewer pixels join the nearest one.

    Raises:
        ValueError: If `sigma` is not positive, the quantiles are not 0 <= low <= high < 1, or `min_area` is
            negative.
    """

    def __init__(self, sigma: float = 2.0, low: float = 0.7, high: float = 0.9, min_area: int = 50) -> None:
        if not 0 <= low <= high < 1:
            raise ValueError(f"expected quantiles 0 <= low <= high < 1, found {low} and {high}")
        if sigma <= 0 or min_area < 0:
            raise ValueError(
                f"expected positive sigma and min_area of 0 or more, found {sigma} and {min_area}"
            )
        self.sigma = sigma
        self.low = low
        self.high = high
        self.min_area = min_area

    def contours(self, photo: Photo) -> Photo:
        """The strength of every edge, float32 (H, W): the gradient as a share of the image's largest one."""
        filters = skimage("filters")
        gray = skimage("color").rgb2gray(photo)
        gradient = filters.sobel(filters.gaussian(gray, self.sigma))
        strength = np.where(self._edges(gray, 0, 0), gradient, 0)
        return (strength / max(strength.max(), 1e-9)).astype(np.float32)  # type: ignore[no-any-return]

    def regions(self, photo: Photo) -> IntMap:
        """The region ids, int32 (H, W) from 1."""
        edges = self._edges(skimage("color").rgb2gray(photo), self.low, self.high)
        # edges are 8-connected, so that what they part is 4-connected
        labels = skimage("measure").label(~edges, connectivity=1)
        return filled(numbered(labels.astype(np.int32), self.min_area))

    def _edges(self, gray: Photo, low: float, high: float) -> npt.NDArray[np.bool_]:
        """The thin edges between two quantiles of the gradient."""
        canny = skimage("feature").canny
        edges: npt.NDArray[np.bool_] = canny(
            gray, self.sigma, low_threshold=low, high_threshold=high, use_quantiles=True
        )
        return edges
