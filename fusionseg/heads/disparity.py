"""The disparity of every pixel, or any other inverse depth."""

from typing import ClassVar

from fusionseg.heads.positive import PositiveHead
from fusionseg.metrics import DisparityMetrics, ImageMetric
from fusionseg.sample import Classes


class DisparityHead(PositiveHead):
    """Predicts the disparity of every pixel in the unit of its labels `disparity`, or another inverse depth.

    A disparity of a pair of cameras is baseline * focal length / depth in pixels. Set `scale` to the order of
    the labels, such as 30 for the pixels of Cityscapes: an untrained network predicts about 0.7 * scale.
    """

    task: ClassVar[str] = "disparity"
    learns_from: ClassVar[str] = "disparity"
    large_is_near: ClassVar[bool] = True

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Absolute and relative error, RMSE and the shares within 1.25^n."""
        return [DisparityMetrics()]
