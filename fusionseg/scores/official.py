"""The official scores of an evaluation, measured in other processes while the network runs."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TypeAlias

import numpy as np

from fusionseg.files.atomic import Json
from fusionseg.metrics.benchmark_sums import (
    boundary_benchmark_figures,
    boundary_benchmark_sums,
    region_benchmark_sums,
    semantic_benchmark_sums,
)
from fusionseg.metrics.boundary_curve import even_thresholds
from fusionseg.metrics.boundary_rules import BERKELEY
from fusionseg.metrics.contingency import Floats
from fusionseg.metrics.instances import instance_figures, instance_sums, instances
from fusionseg.metrics.mask_boundaries import SHARE, boundary_distance
from fusionseg.metrics.mean_ious import mean_iou_figures
from fusionseg.metrics.region_curve import region_curve_figures
from fusionseg.metrics.undefined import undefined
from fusionseg.sample import OFFSET, Array, Classes, Counted, IntMap, Prediction, Truth
from fusionseg.scores.workers import cores, pool_of

Kinds: TypeAlias = dict[str, Counted]
"""The sums of one image, or of several, by kind as `fusionseg score` names them."""

USED = ("semantic", "region", "panoptic", "contours")
"""The predictions that are scored."""


class OfficialScores:
    """Adds up what the benchmarks count of each image: `boundaries`, `regions`, `semantic` and `instances`.

    Boundaries are scored at all thresholds where the head predicts them, and else as those of its regions.
    Instances are the thing segments of the panoptic prediction, against the regions of thing classes.

    Args:
        classes: The classes of the data set.
        thresholds: Number of thresholds of soft boundaries, evenly from 0 to 1.
        jobs: Number of processes; by default one for each core.
    """

    extras = ("contours",)

    def __init__(self, classes: Classes, thresholds: int = 99, jobs: int | None = None) -> None:
        self.thresholds = even_thresholds(thresholds)
        self.measure = partial(official_sums, classes=classes, thresholds=self.thresholds)
        self.jobs = jobs or cores()
        self.pool = pool_of(self.jobs, __name__)
        self.pending: deque[Future[Kinds]] = deque()
        self.sums: Kinds = {}

    def __enter__(self) -> "OfficialScores":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown(wait=kind is None, cancel_futures=True)

    def add(self, prediction: Prediction, truth: Truth) -> None:
        """Hands an image to a process; waits where several images are ahead of each of them."""
        maps = {name: prediction[name] for name in USED if name in prediction}
        self.pending.append(self.pool.submit(self.measure, maps, truth))
        while len(self.pending) > 4 * self.jobs:
            self._take()

    def figures(self) -> Json:
        """The figures of all images by kind, as `fusionseg score` gives them, when all are measured."""
        while self.pending:
            self._take()
        figures = {
            "boundaries": lambda sums: boundary_benchmark_figures(sums, self.thresholds),
            "regions": lambda sums: region_curve_figures(sums, self.thresholds[:1]),
            "semantic": mean_iou_figures,
            "instances": instance_figures,
        }
        return {kind: figures[kind](sums) for kind, sums in self.sums.items()}

    def notes(self) -> list[str]:
        """What the figures do not show."""
        figures = self.figures()
        lines = [f"official/{kind}: {line}" for kind, found in figures.items() for line in undefined(found)]
        if "boundaries" in self.sums and len(np.unique(self.sums["boundaries"]["curve"], axis=0)) == 1:
            lines.append(
                "official/boundaries: outlines of regions are the same at all thresholds, so that ap is 0 as "
                "in the benchmark"
            )
        return lines

    def _take(self) -> None:
        for kind, counted in self.pending.popleft().result().items():
            known = self.sums.setdefault(kind, {name: np.zeros_like(v) for name, v in counted.items()})
            for name, value in counted.items():
                known[name] = known[name] + value


def official_sums(maps: Mapping[str, Array], truth: Truth, classes: Classes, thresholds: Floats) -> Kinds:
    """The sums of one image for each kind that its predictions and labels allow.

    Args:
        maps: What was predicted: `semantic`, `region`, `panoptic` and `contours`, where there are any.
        truth: The labels of the image.
        classes: The classes of the data set.
        thresholds: Where soft boundaries are cut.
    """
    found: Kinds = {}
    if "region" in maps and truth.has_regions:
        region = maps["region"]
        answer = maps.get("contours", region)
        found["boundaries"] = boundary_benchmark_sums(answer, truth, thresholds, BERKELEY)
        found["regions"] = region_benchmark_sums(region, truth, thresholds[:1])
    if "semantic" in maps:
        found["semantic"] = semantic_benchmark_sums(maps["semantic"], truth.semantic, len(classes))
    if "panoptic" in maps and truth.has_regions and classes.things:
        found["instances"] = _instances(maps["panoptic"], truth, classes)
    return found


def _instances(panoptic: IntMap, truth: Truth, classes: Classes) -> Counted:
    """`instance_sums` of the things of one image."""
    true = np.where(np.isin(truth.semantic, classes.things), truth.region, 0)
    predicted = np.where(np.isin(panoptic // OFFSET, classes.things), panoptic, 0)
    distance = boundary_distance(true.shape, SHARE)
    return instance_sums(instances(true, predicted, distance))
