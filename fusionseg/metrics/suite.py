"""All measures of a prediction together: sums of an image, and figures from sums."""

import math
from collections.abc import Iterable

import numpy as np

from fusionseg.metrics.boundary import boundary_figures, boundary_sums
from fusionseg.metrics.panoptic import panoptic_figures, panoptic_sums
from fusionseg.metrics.regions import region_figures, region_sums
from fusionseg.metrics.scene import scene_ap, scene_figures, scene_sums
from fusionseg.metrics.semantic import semantic_figures, semantic_per_class, semantic_sums
from fusionseg.sample import Classes, Counted, Prediction, Truth


class Measures:
    """What is measured of predictions, as additive sums of images and as figures of any set of images.

    The sums of an image are, where the prediction has what they need: `semantic` and `fused`, class contingencies
    (C, C) before and after the region vote; `region`, the columns of `REGION_SUMS`; `boundary`, those of
    `BOUNDARY_SUMS`; `panoptic`, TP, FP, FN and sum of IoU of each class (C, 4); and those of `scene_sums`.

    Args:
        classes: The classes of the data set.
        tolerance: How far matching boundary pixels may lie apart, as a share of the image's diagonal.
        single: Whether scenes show exactly one class.
    """

    def __init__(self, classes: Classes, tolerance: float = 0.0075, single: bool = False) -> None:
        self.classes = classes
        self.single = single
        self.tolerance = tolerance

    def sums(self, prediction: Prediction, truth: Truth) -> Counted:
        """The sums of one image; `total` adds them.

        What the truth has no label of adds nothing, so that sets of images may be mixed. Several annotators count as in
        the Berkeley benchmark.
        """
        sums: Counted = {}
        if "semantic" in prediction:
            sums["semantic"] = semantic_sums(prediction["semantic"], truth.semantic, len(self.classes))
        if "region" in prediction:
            annotators = (truth.region, *truth.others)
            sums["region"] = region_sums(prediction["region"], *annotators)
            sums["boundary"] = boundary_sums(prediction["region"], *annotators, tolerance=self.tolerance)
        if "fused" in prediction:
            sums["fused"] = semantic_sums(prediction["fused"], truth.semantic, len(self.classes))
        if "panoptic" in prediction:
            segments = panoptic_sums(prediction["panoptic"], truth, self.classes)
            # without regions nothing that was found could match, only count as invented
            sums["panoptic"] = segments if truth.has_regions else np.zeros_like(segments)
        if "scene" in prediction:
            sums |= scene_sums(prediction["scene"], truth.semantic, self.single)
        return sums

    def figures(self, sums: Counted) -> dict[str, float]:
        """Flat figures of a set of images, and their `score`.

        The score is the geometric mean of `miou` and `covering`, or the one of them that there is: a single number in
        [0, 1] that is high only where both tasks are. Without either it is `scene_map`. A task that the truth has no
        label of is left out; the score is 0 where nothing could be measured.
        """
        figures: dict[str, float] = {}
        if "semantic" in sums:
            figures |= semantic_figures(sums["semantic"])
        if "region" in sums:
            figures |= region_figures(sums["region"]) | boundary_figures(sums["boundary"])
        if "fused" in sums:
            fused = semantic_figures(sums["fused"])
            figures |= {f"{name}_fused": fused[name] for name in ("miou", "accuracy")}
        if "panoptic" in sums:
            figures |= panoptic_figures(sums["panoptic"], self.classes.things)
        if "scene" in sums:
            figures |= scene_figures(sums)
        measured = {"miou", "covering"} & figures.keys() or {"scene_map"}
        parts = [figures[name] for name in measured if not math.isnan(figures.get(name, math.nan))]
        figures["score"] = math.prod(parts) ** (1 / len(parts)) if parts else 0.0
        return figures

    def per_class(self, sums: Counted) -> dict[str, list[float]]:
        """Figures of each class, in the order of the classes; NaN where a class does not occur."""
        figures: dict[str, list[float]] = {}
        if "semantic" in sums:
            figures |= {
                name: values.tolist() for name, values in semantic_per_class(sums["semantic"]).items()
            }
        if "fused" in sums:
            figures["iou_fused"] = semantic_per_class(sums["fused"])["iou"].tolist()
        if "panoptic" in sums:
            true, false, missed, iou = sums["panoptic"].T
            with np.errstate(invalid="ignore"):
                figures["pq"] = (iou / (true + false / 2 + missed / 2)).tolist()
        if "scene_scores" in sums:
            figures["scene_ap"] = scene_ap(sums["scene_scores"]).tolist()
        return figures


def total(many: Iterable[Counted]) -> Counted:
    """The sums of a set of images from those of its images or of disjoint parts of it."""
    added: Counted = {}
    for sums in many:
        for name, value in sums.items():
            added[name] = added[name] + value if name in added else value.copy()
    return added
