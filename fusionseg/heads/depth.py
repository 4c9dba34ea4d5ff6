"""The depth of every pixel in meters."""

from typing import ClassVar

from fusionseg.heads.positive import PositiveHead
from fusionseg.metrics import DepthMetrics, ImageMetric, InverseDepthMetrics
from fusionseg.sample import Classes


class DepthHead(PositiveHead):
    """Predicts the depth of every pixel in meters, from labels `depth`."""

    task: ClassVar[str] = "depth"
    learns_from: ClassVar[str] = "depth"

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Absolute and relative error, RMSE and the shares within 1.25^n, and the error of inverse depth."""
        return [DepthMetrics(), InverseDepthMetrics()]
