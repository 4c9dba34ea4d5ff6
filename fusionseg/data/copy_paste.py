"""Views onto which things of another view are pasted."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fusionseg.corruptions.base import stored, unit
from fusionseg.data.base import Pixels
from fusionseg.data.view_changes import Others, ViewChange
from fusionseg.sample import Array

Value = TypeVar("Value", bound=np.generic)

LARGEST = 65535
"""The largest region id."""


class CopyPaste(ViewChange):
    """Things of another training image, pasted where they are in its view.

    After Ghiasi et al., CVPR 2021 (arXiv:2012.07177). The other view has a zoom, a rotation and a mirroring
    of its own. Labels of all tasks come with the pixels: classes, regions (as new ones), depth and normals.

    Args:
        share: How many of the other view's things are pasted, each drawn by itself.
        probability: How often a view is changed.

    Raises:
        ValueError: An argument is out of its range.
    """

    needs_things = True

    def __init__(self, share: float = 0.5, probability: float = 0.5) -> None:
        super().__init__(probability)
        if not 0 < share <= 1:
            raise ValueError(f"expected a share in (0, 1], found {share}")
        self.share = share

    @property
    @override
    def moves(self) -> bool:
        return True

    @override
    def changed(self, view: Pixels, rng: np.random.Generator, others: Others | None) -> Pixels:
        if others is None:
            raise ValueError("expected the other images of a dataset, found none")
        other = others.another(rng)
        things = np.isin(other.semantic, others.things) & (other.region > 0)
        ids = np.unique(other.region[things])
        chosen = ids[rng.random(len(ids)) < self.share]
        pasted = things & np.isin(other.region, chosen)
        if not pasted.any():
            return view
        # a mixture has images of several types
        same = other.image.dtype == view.image.dtype
        image = other.image if same else stored(unit(other.image), view.image)
        maps = {kind: _over(pasted, other.maps[kind], plane) for kind, plane in view.maps.items()}
        return Pixels(
            _over(pasted, image, view.image),
            _over(pasted, other.semantic, view.semantic),
            _regions(pasted, chosen, other.region, view.region),
            maps or view.maps,
        )


def _over(
    mask: npt.NDArray[np.bool_], above: npt.NDArray[Value], below: npt.NDArray[Value]
) -> npt.NDArray[Value]:
    """A map (H, W) or (H, W, C) with the values of another one in a mask (H, W)."""
    return np.where(mask if below.ndim == 2 else mask[..., None], above, below)


def _regions(
    mask: npt.NDArray[np.bool_], chosen: Array, above: npt.NDArray[np.uint16], below: npt.NDArray[np.uint16]
) -> npt.NDArray[np.uint16]:
    """The regions below with those above in a mask, whose ids `chosen` become new ones."""
    kept = np.where(mask, 0, below).astype(np.int64)
    if kept.max() + len(chosen) > LARGEST:
        # numbered without gaps, and 0 stays 0
        kept = np.unique(np.append(0, kept), return_inverse=True)[1][1:].reshape(kept.shape)
    new = kept.max() + 1 + np.searchsorted(chosen, above)
    return np.where(mask, new, kept).astype(np.uint16)
