"""Where a network looks: the heat map for a class, a region or a pixel of one image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fusionseg.files.images import write_png
from fusionseg.files.photos import Photo
from fusionseg.sample import Picture
from fusionseg.visualize import heat_colors, rgb

ENCODER = "encoder"
"""The layer by default, of whose pyramid the deepest map counts."""


@dataclass(frozen=True)
class AttributionTarget:
    """What of an answer is explained: a class, a region, a pixel, or where boundaries are.

    Args:
        cls: A class; that which the region or the pixel is predicted as where left out.
        region: A region's id in the answer; for the task `region` its outline is explained.
        pixel: A pixel's row and column in the image.
        task: `semantic` for what made this a class, `region` for what made this a boundary.
        layer: The module of the network whose map is weighted; the deepest map of the encoder's pyramid where
            left out.
    """

    cls: str | None = None
    region: int | None = None
    pixel: tuple[int, int] | None = None
    task: str = "semantic"
    layer: str | None = None


@dataclass(frozen=True, eq=False)
class Attribution:
    """Where a network looks for something in one image.

    Attributes:
        name: Of the image.
        image: The image (H, W, C).
        target: What is explained, in words.
        values: How much each place raises the score (H, W) float32, from 0 to 1, the highest of this image;
            all 0 where nothing in the map raises it. Two images' values cannot be compared.
    """

    name: str
    image: Photo
    target: str
    values: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Attribution({self.target!r} in {self.name!r}, {width} x {height})"

    def overlay(self, opacity: float = 0.5) -> Picture:
        """The image (H, W, 3) under the heat map, dark blue for 0 and yellow for 1.

        Args:
            opacity: Share of the heat map, from 0 to 1.
        """
        colors = heat_colors(self.values, np.ones(self.values.shape, bool))
        mixed: Picture = np.rint((1 - opacity) * rgb(self.image) + opacity * colors).astype(np.uint8)
        return mixed

    def write(self, folder: Path) -> None:
        """Writes `explain/NAME.png`, the overlay, and `attribution/NAME.png`, the values as gray of 16 bits.

        Raises:
            OSError: If a file cannot be written.
        """
        gray = np.rint(self.values * 65535).astype(np.uint16)
        write_png(folder / "attribution" / f"{self.name}.png", gray)
        write_png(folder / "explain" / f"{self.name}.png", self.overlay())
