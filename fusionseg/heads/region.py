"""The base class of all heads that predict regions."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from fusionseg.heads.base import Extra, Head, Output
from fusionseg.metrics import BoundaryMetrics, ImageMetric, RegionMetrics
from fusionseg.sample import Array, Classes, Frame, Picture, Truth
from fusionseg.visualize import region_colors


class RegionHead(Head):
    """Predicts a region id for every pixel.

    Region ids are arbitrary, so a head predicts something that does not depend on their order, such as
    boundaries, and `labels` makes the region map (B, H, W) int64 of positive ids from it.
    """

    task: ClassVar[str] = "region"
    learns_from: ClassVar[str] = "region"

    @property
    def extras(self) -> Mapping[str, Extra]:
        """The probability of boundaries, and its logit."""
        return {"contours": self.contours, "contour_logits": self.contour_logits}

    @property
    def predicts_boundaries(self) -> bool:
        """Whether the head has `contour_logits`."""
        return type(self).contour_logits is not RegionHead.contour_logits

    def contour_logits(self, output: Output, frame: Frame) -> Tensor | None:
        """The logit of a boundary at every pixel, float32 (B, H, W) at `frame.size`, over the temperature.

        None, the default, where a head predicts none: its boundaries are then those of its regions.
        """
        return None

    def contours(self, output: Output, frame: Frame) -> Tensor | None:
        """The probability of a boundary at every pixel, float32 (B, H, W); None without `contour_logits`."""
        logits = self.contour_logits(output, frame)
        return None if logits is None else logits.sigmoid()

    def metrics(self, classes: Classes) -> list[ImageMetric]:
        """Covering, variation of information, Rand error and boundary F."""
        return [RegionMetrics(), BoundaryMetrics()]

    @classmethod
    def truth(cls, truth: Truth) -> Array | None:
        """The region ids (H, W), 0 where unlabelled; None if no pixel is labelled."""
        return truth.region if truth.region.any() else None

    @classmethod
    def draw(cls, labels: Array, classes: Classes) -> Picture:
        """Region ids (H, W), each in a color of its own with a white outline; 0 is black."""
        return region_colors(labels)
