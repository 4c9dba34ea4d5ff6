"""The base class of methods that find regions in an image without training."""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from fusionseg.config.errors import UsageError
from fusionseg.sample import IntMap

Photo = npt.NDArray[np.float32]
"""An RGB image (H, W, 3) in [0, 1]."""


class Method(ABC):
    """Finds regions in an image without training."""

    @abstractmethod
    def regions(self, photo: Photo) -> IntMap:
        """The region ids, int32 (H, W) from 1, of an RGB image (H, W, 3) in [0, 1]."""

    def contours(self, photo: Photo) -> Photo | None:
        """The strength of a boundary at every pixel, float32 (H, W) in [0, 1]; None for regions alone."""
        return None


def skimage(module: str) -> Any:
    """A module of scikit-image, by its name there.

    Raises:
        UsageError: If scikit-image is not installed.
    """
    try:
        return import_module(f"skimage.{module}")
    except ImportError as error:
        raise UsageError('this takes scikit-image: pip install "fusionseg[untrained]"') from error
