"""Regions by greedy merging of a graph of pixels."""

import numpy as np

from fusionseg.sample import IntMap
from fusionseg.untrained.base import Method, Photo, skimage


class Felzenszwalb(Method):
    """Merges pixels along the edges of a graph, from the smallest difference of color to the largest.

    Two regions merge if the difference between them is at most that within each, plus `scale` over its pixels
    (Felzenszwalb and Huttenlocher, IJCV 2004, eq. 3-5).

    Args:
        scale: Preference for large regions, for colors in 0..255, as in the paper.
        sigma: Standard deviation of the Gaussian that smooths the image first, in pixels.
        min_area: Regions of fewer pixels are merged.

    Raises:
        ValueError: If `scale` is not positive, or `sigma` or `min_area` is negative.
    """

    def __init__(self, scale: float = 300.0, sigma: float = 0.8, min_area: int = 50) -> None:
        if scale <= 0 or sigma < 0 or min_area < 0:
            raise ValueError(
                "expected a positive scale, and sigma and min_area of 0 or more, "
                f"found {scale}, {sigma} and {min_area}"
            )
        self.scale = scale
        self.sigma = sigma
        self.min_area = min_area

    def regions(self, photo: Photo) -> IntMap:
        """The region ids, int32 (H, W) from 1."""
        find = skimage("segmentation").felzenszwalb
        labels = find(photo, scale=self.scale, sigma=self.sigma, min_size=self.min_area)
        return (labels + 1).astype(np.int32)  # type: ignore[no-any-return]
