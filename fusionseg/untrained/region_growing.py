"""Regions that grow from seeds."""

import numpy as np

from fusionseg.heads.region_decoding import filled
from fusionseg.sample import IntMap
from fusionseg.untrained.base import Method, Photo, skimage


class RegionGrowing(Method):
    """Grows a region from each seed over connected pixels whose color is like the seed's.

    A seed is the pixel of the least gradient in each cell of a grid; seeds grow from the least gradient to
    the largest (after Adams and Bischof, PAMI 1994, whose regions grow at once and compare to their mean).
    What no region reaches joins the nearest one.

    Args:
        spacing: Side of a cell, in pixels.
        tolerance: Largest distance to the color of the seed, in CIELAB.
        sigma: Standard deviation of the Gaussian that smooths the image first, in pixels.
        min_area: Regions of fewer pixels are given up.

    Raises:
        ValueError: If `spacing` or `tolerance` is not positive, or `sigma` or `min_area` is negative.
    """

    def __init__(
        self, spacing: int = 16, tolerance: float = 12.0, sigma: float = 1.0, min_area: int = 50
    ) -> None:
        if spacing < 1 or tolerance <= 0:
            raise ValueError(f"expected positive spacing and tolerance, found {spacing} and {tolerance}")
        if sigma < 0 or min_area < 0:
            raise ValueError(f"expected sigma and min_area of 0 or more, found {sigma} and {min_area}")
        self.spacing = spacing
        self.tolerance = tolerance
        self.sigma = sigma
        self.min_area = min_area

    def regions(self, photo: Photo) -> IntMap:
        """The region ids, int32 (H, W) from 1."""
        filters = skimage("filters")
        flood = skimage("segmentation").flood
        color = skimage("color").rgb2lab(filters.gaussian(photo, self.sigma, channel_axis=-1))
        planes = np.moveaxis(color, -1, 0).astype(np.float32, order="C")
        region = np.zeros(planes.shape[1:], np.int32)
        number = 0
        for seed in self._seeds(filters.sobel(planes[0])):
            if region[seed]:
                continue
            squares = sum((plane - plane[seed]) ** 2 for plane in planes)
            alike = (squares <= self.tolerance**2) & (region == 0)
            grown = flood(alike.view(np.uint8), seed, connectivity=1)
            if np.count_nonzero(grown) >= self.min_area:
                number += 1
                region[grown] = number
        return filled(region)

    def _seeds(self, gradient: Photo) -> list[tuple[int, int]]:
        """The pixel of the least gradient in each cell, by rising gradient."""
        seeds = []
        height, width = gradient.shape
        for top in range(0, height, self.spacing):
            for left in range(0, width, self.spacing):
                cell = gradient[top : top + self.spacing, left : left + self.spacing]
                row, column = np.unravel_index(cell.argmin(), cell.shape)
                seeds.append((top + int(row), left + int(column)))
        return sorted(seeds, key=lambda seed: gradient[seed])
