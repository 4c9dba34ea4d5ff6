"""The error of predicted offsets from pixels to the centroids of their regions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.contingency import Floats, ratio, totals
from fusionseg.sample import Counted, IntMap, Truth

OFFSET_SUMS = ("pixels", "error")
"""The columns of `offset_sums`."""


class OffsetMetrics(ImageMetric):
    """Mean instance error: how far predicted offsets are from those to the centroids of true regions.

    This is the metric of Kendall et al. (CVPR 2018, arXiv:1705.07115, table 1), `instance_error`, in pixels
    of the label file: the L1 norm of the difference of the two vectors, averaged over all pixels of instances
    of a set of images. It scores raw offsets and no decoded regions.

    Args:
        instances: Ids of the classes whose regions are instances; by default all regions are.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import OffsetMetrics
        >>> from fusionseg.sample import Truth
        >>> truth = Truth(semantic=np.zeros((1, 4), int), region=np.array([[7, 7, 7, 0]]))
        >>> metric = OffsetMetrics()
        >>> metric.update(np.array([[[0, 0, 0.5, 9]], [[1, 0, -2, 9]]]), truth)
        >>> round(metric.compute()["instance_error"].item(), 3)
        0.5
    """

    answer = "offsets"

    def __init__(self, instances: Sequence[int] | None = None) -> None:
        super().__init__({"offsets": np.zeros(len(OFFSET_SUMS))})
        self.instances = None if instances is None else tuple(instances)

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`offset_sums` of one image, over the regions of instances."""
        region = truth.region
        if self.instances is not None:
            region = np.where(np.isin(truth.semantic, self.instances), region, 0)
        return {"offsets": offset_sums(answer, region)}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`instance_error` of a set of images, in pixels; NaN where there is no instance."""
        pixels, error = sums["offsets"]
        return {"instance_error": float(ratio(error, pixels))}


def offset_sums(offsets: npt.NDArray[np.floating], region: IntMap) -> Floats:
    """The sums of one image, `OFFSET_SUMS`: its labelled pixels, and the errors of their offsets in pixels.

    The error of a pixel is |dy - dy*| + |dx - dx*|, where (dy*, dx*) leads to the mean row and column of the
    pixels of its region.

    Args:
        offsets: From every pixel to its region's centroid (2, H, W): down, then right, in pixels. Values on
            unlabelled pixels do not matter.
        region: True region ids (H, W), 0 where unlabelled.

    Raises:
        ValueError: If the sizes differ or an offset is not finite on a labelled pixel.
    """
    if offsets.shape != (2, *region.shape):
        raise ValueError(
            f"expected offsets of the shape {(2, *region.shape)}, found {offsets.shape}: resize the "
            "prediction to the label file"
        )
    places = np.nonzero(region)
    found = np.stack([offset[places] for offset in offsets]).astype(np.float64)
    if broken := np.count_nonzero(~np.isfinite(found).all(0)):
        raise ValueError(
            f"expected finite offsets, found NaN or infinity in {broken} of {found.shape[1]} labelled "
            "pixels: look for a training that diverged"
        )
    ids, index = np.unique(region[places], return_inverse=True)
    areas = np.bincount(index, minlength=ids.size)
    error = 0.0
    for axis, predicted in zip(places, found, strict=True):
        centers = totals(index, axis.astype(np.float64), ids.size) / areas
        error += np.abs(predicted - (centers[index] - axis)).sum()
    return np.array([index.size, error], np.float64)
