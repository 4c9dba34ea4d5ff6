"""Occlusion: parts of the image that something hides."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fusionseg.corruptions.base import Ids, at, size_of
from fusionseg.files.photos import Photo
from fusionseg.sample import Array

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
PATCHES = 14
"""Patches along the shorter side."""


class Hidden(NamedTuple):
    """Patches of an image of which some are hidden.

    Nobody can see what is behind them, so that they are unlabelled and no answer there is scored.

    Attributes:
        patches: Which patches (rows, columns) are hidden.
    """

    patches: npt.NDArray[np.bool_]

    def mask(self, size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Which pixels (H, W) are hidden in an image of a size (H, W)."""
        rows, columns = (np.arange(n) * count // n for n, count in zip(size, self.patches.shape, strict=True))
        mask: npt.NDArray[np.bool_] = self.patches[rows[:, None], columns]
        return mask

    def ids(self, plane: npt.NDArray[Ids], unlabelled: int) -> npt.NDArray[Ids]:
        """A map (H, W) of classes or regions, unlabelled where something is hidden."""
        return np.where(self.mask(plane.shape), plane.dtype.type(unlabelled), plane)

    def values(self, kind: str, plane: Array) -> Array:
        """A map (H, W) or (H, W, C) of a further kind, 0 where something is hidden."""
        seen = ~self.mask(plane.shape[:2])
        visible: Array = plane * (seen if plane.ndim == 2 else seen[..., None]).astype(plane.dtype)
        return visible


def occlusion(image: Photo, severity: int, seed: int) -> Photo:
    """Black squares on 10 to 50 percent of the image: of 14 x 14 patches, some that the seed says.

    After the random PatchDrop of Naseer et al., NeurIPS 2021 (arXiv:2105.10497).
    """
    size = size_of(image)
    seen = ~hidden(size, severity, seed).mask(size)
    return image * seen[..., None].astype(image.dtype)


def hidden(size: tuple[int, int], severity: int, seed: int) -> Hidden:
    """What `occlusion` hides in images of a size (H, W); at a higher severity that and more."""
    side = max(1.0, min(size) / PATCHES)
    rows, columns = (max(1, round(n / side)) for n in size)
    order = np.random.default_rng(seed).permutation(rows * columns)
    patches = np.zeros(rows * columns, bool)
    patches[order[: round(at(severity, SHARES) * len(order))]] = True
    return Hidden(patches.reshape(rows, columns))
