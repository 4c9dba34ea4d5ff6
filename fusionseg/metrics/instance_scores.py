"""Figures of instances that need no confidences, as a torchmetrics metric."""

import numpy as np

from fusionseg.metrics.base import Answer, ImageMetric
from fusionseg.metrics.instances import THRESHOLDS, instance_figures, instance_sums, instances
from fusionseg.metrics.mask_boundaries import SHARE, boundary_distance
from fusionseg.sample import Counted, Truth


class InstanceScores(ImageMetric):
    """The Data Science Bowl's score, aggregated Jaccard index and Boundary IoU of regions as instances.

    The figures are those of `instance_figures`. Pixels without a region are background: what is predicted
    there is wrong. An image without any region has no labels and adds nothing. Further annotators do not
    count.

    Args:
        boundary_share: Width of the bands of Boundary IoU as a share of the image's diagonal, in (0, 1).

    Raises:
        ValueError: If the share is out of range.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import InstanceScores
        >>> from fusionseg.sample import Truth
        >>> metric = InstanceScores()
        >>> truth = Truth(semantic=np.zeros((1, 6), int), region=np.array([[0, 1, 1, 1, 2, 2]]))
        >>> metric.update(np.array([[0, 5, 5, 5, 5, 6]]), truth)
        >>> figures = metric.compute()
        >>> [round(float(figures[name]), 3) for name in ("dsb_ap", "dsb_ap50", "aji")]
        [0.167, 0.333, 0.667]
    """

    answer = "region"

    def __init__(self, boundary_share: float = SHARE) -> None:
        boundary_distance((1, 1), boundary_share)
        zeros = {name: np.zeros(1) for name in ("instance_images", "aji", "matched", "boundary_iou")}
        super().__init__({**zeros, "dsb": np.zeros(THRESHOLDS.size)})
        self.boundary_share = boundary_share

    def sums(self, answer: Answer, truth: Truth) -> Counted:
        """`instance_sums` of one image; zeros where it has no region.

        Args:
            answer: Region ids (H, W), not negative; 0 is background.
            truth: The labels of the image.
        """
        if not truth.region.any():
            return {name: np.zeros_like(getattr(self, name).cpu().numpy()) for name in self.names}
        distance = boundary_distance(answer.shape, self.boundary_share)
        sums = instance_sums(instances(truth.region, answer, distance))
        return {name: sums[name] for name in self.names}

    def figures(self, sums: Counted) -> dict[str, float]:
        """`instance_figures` of a set of images."""
        return instance_figures(sums)
