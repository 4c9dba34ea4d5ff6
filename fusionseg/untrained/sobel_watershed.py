"""Regions by a watershed on the gradient of the image."""

import numpy as np

from fusionseg.sample import IntMap
from fusionseg.untrained.base import Method, Photo, skimage


class SobelWatershed(Method):
    """Floods the gradient from its minima; regions end where the floods meet (Vincent and Soille, PAMI 1991).

    The gradient is Sobel's, of the smoothed image, in the channel where it is largest. Shallow minima start
    no region.

    Args:
        sigma: Standard deviation of the Gaussian that smooths the image first, in pixels.
        depth: A minimum starts a region if the gradient rises by this much around it, for colors in [0, 1].

    Raises:
        ValueError: If `sigma` is negative or `depth` not positive.
    """

    def __init__(self, sigma: float = 2.0, depth: float = 0.02) -> None:
        if sigma < 0 or depth <= 0:
            raise ValueError(f"expected sigma of 0 or more and a positive depth, found {sigma} and {depth}")
        self.sigma = sigma
        self.depth = depth

    def regions(self, photo: Photo) -> IntMap:
        """The region ids, int32 (H, W) from 1."""
        filters = skimage("filters")
        smooth = filters.gaussian(photo, self.sigma, channel_axis=-1)
        gradient = np.max([filters.sobel(smooth[..., i]) for i in range(smooth.shape[-1])], 0)
        if np.ptp(gradient) < self.depth:
            return np.ones(gradient.shape, np.int32)
        minima = skimage("morphology").h_minima(gradient, self.depth)
        markers = skimage("measure").label(minima)
        return skimage("segmentation").watershed(gradient, markers).astype(np.int32)  # type: ignore[no-any-return]
