"""Several metrics together: the sums of an image, the figures of a set of images and their score."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from torch import nn

from fusionseg.metrics.base import ImageMetric
from fusionseg.metrics.boundary import BoundaryMetrics
from fusionseg.metrics.contingency import Counts
from fusionseg.metrics.panoptic import PanopticQuality
from fusionseg.metrics.regions import RegionMetrics
from fusionseg.metrics.scene import SceneMetrics
from fusionseg.metrics.semantic import FusedMetrics, SemanticMetrics
from fusionseg.sample import Classes, Counted, Prediction, Truth

PRIMARY = ("semantic", "region")
"""The answers whose main figures make the score; the others only where neither of these is measured."""


class MetricSuite(nn.Module):
    """All that is measured of the predictions of a model.

    It is a module, so that the states move to the device with the model that holds it; checkpoints do not
    contain them.

    Args:
        metrics: The metrics, by any names or in a sequence; no two of them may have sums of the same name.
        untrained: Answers that do not count in the score, because nothing trains them.

    Raises:
        TypeError: If something is not an `ImageMetric`.
        ValueError: If two metrics have sums of the same name.

    Examples:
        >>> import numpy as np
        >>> from fusionseg.metrics import MetricSuite, RegionMetrics, SemanticMetrics
        >>> from fusionseg.sample import Prediction, Truth
        >>> suite = MetricSuite([SemanticMetrics(num_classes=2), RegionMetrics()])
        >>> truth = Truth(semantic=np.array([[0, 0, 1, 1]]), region=np.array([[1, 1, 2, 2]]))
        >>> answers = {"semantic": np.array([[0, 0, 1, 1]]), "region": np.array([[1, 1, 1, 1]])}
        >>> suite.add(suite.sums(Prediction("an image", answers), truth))
        >>> figures = suite.compute()
        >>> [round(figures[name], 3) for name in ("miou", "covering", "score")]
        [1.0, 0.5, 0.707]
    """

    def __init__(
        self, metrics: Mapping[str, ImageMetric] | Sequence[ImageMetric], untrained: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.untrained = frozenset(untrained)
        chosen = list(metrics.values()) if isinstance(metrics, Mapping) else list(metrics)
        owners: dict[str, ImageMetric] = {}
        for metric in chosen:
            if not isinstance(metric, ImageMetric):
                raise TypeError(
                    "expected metrics derived from fusionseg.metrics.ImageMetric, found "
                    f"{type(metric).__name__}"
                )
            for name in metric.names:
                if name in owners:
                    raise ValueError(
                        f"expected sums of different names, found '{name}' in {type(owners[name]).__name__} "
                        f"and {type(metric).__name__}: leave out one of them or rename its sums"
                    )
                owners[name] = metric
        self.metrics = nn.ModuleList(chosen)

    @classmethod
    def standard(cls, classes: Classes, tolerance: float = 0.0075, single: bool = False) -> "MetricSuite":
        """The metrics of semantic, region, fused and panoptic segmentation and of scenes.

        Args:
            classes: The classes of the data set.
            tolerance: As in `BoundaryMetrics`.
            single: As in `SceneMetrics`.
        """
        number = len(classes)
        metrics = (
            SemanticMetrics(number),
            RegionMetrics(),
            BoundaryMetrics(tolerance),
            FusedMetrics(number),
            PanopticQuality(number, classes.things),
            SceneMetrics(number, single),
        )
        return cls(metrics)

    def __iter__(self) -> Iterator[ImageMetric]:
        for metric in self.metrics:
            assert isinstance(metric, ImageMetric)
            yield metric

    def sums(self, prediction: Prediction, truth: Truth) -> Counted:
        """The sums of one image for every metric whose answer the prediction has; `total` adds up several.

        What the truth has no label of adds nothing, so that sets of images may be mixed.
        """
        sums: Counted = {}
        for metric in self:
            answer = prediction.get(metric.answer)
            if answer is not None:
                sums |= metric.sums(answer, truth)
        return sums

    def add(self, sums: Counted) -> None:
        """Adds the sums of one image, or of several, to the states of the metrics that they are of."""
        for metric in self._measured(sums):
            metric.add(sums)

    def reset(self) -> None:
        """Forgets all images, but not the sums of the last `compute`."""
        for metric in self:
            metric.reset()

    def compute(self) -> dict[str, float]:
        """The figures and the score of the images of all processes; every process must call it."""
        for metric in self:
            metric.compute()
        return self.figures(self._computed())

    def figures(self, sums: Counted) -> dict[str, float]:
        """The figures and the `score` of a set of images.

        The score is the geometric mean of the main figures of the semantic and the region metric, or the one
        of them that there is: a single number in [0, 1] that is high only where both tasks are. Without
        either it is that of the other metrics' main figures. A task that is not trained, or that the truth
        has no label of, is left out; the score is NaN where nothing could be measured.

        Args:
            sums: The added sums of the images, of some or all of the metrics; other names are ignored.
        """
        figures: dict[str, float] = {}
        for metric in self._measured(sums):
            figures |= metric.figures(sums)
        mains = [figures[metric.main] for metric in self._scored(self._measured(sums))]
        parts = [value for value in mains if not math.isnan(value)]
        figures["score"] = math.prod(parts) ** (1 / len(parts)) if parts else math.nan
        return figures

    def behind(self, figure: str) -> list[ImageMetric]:
        """The metrics that a figure or the `score` is computed by; none if there is no such figure.

        >>> from fusionseg.metrics import FusedMetrics, MetricSuite, RegionMetrics, SemanticMetrics
        >>> suite = MetricSuite([SemanticMetrics(num_classes=2), RegionMetrics(), FusedMetrics(2)])
        >>> [[type(metric).__name__ for metric in suite.behind(name)] for name in ("voi", "score", "vio")]
        [['RegionMetrics'], ['SemanticMetrics', 'RegionMetrics'], []]
        """
        return self._scored(self) if figure == "score" else [m for m in self if figure in _names(m)]

    @property
    def answers(self) -> frozenset[str]:
        """The answers that are scored: labels, and what heads predict besides where it is asked for."""
        return frozenset(metric.answer for metric in self)

    @property
    def names(self) -> list[str]:
        """The names of all figures."""
        return [*(name for metric in self for name in _names(metric)), "score"]

    def per_class(self, sums: Counted | None = None) -> dict[str, list[float]]:
        """Figures of each class, in the order of the classes; NaN where a class does not occur.

        Args:
            sums: The added sums of a set of images; by default those of the last `compute`.
        """
        sums = self._computed() if sums is None else sums
        figures: dict[str, list[float]] = {}
        for metric in self._measured(sums):
            figures |= metric.per_class(sums)
        return figures

    def confusion(self, sums: Counted | None = None) -> Counts | None:
        """The confusion matrix (C, C) of true classes (rows) and predicted ones (columns), in pixels.

        None where no classes are measured.

        Args:
            sums: The added sums of a set of images; by default those of the last `compute`.
        """
        sums = self._computed() if sums is None else sums
        measured = any(isinstance(metric, SemanticMetrics) for metric in self._measured(sums))
        return sums["semantic"] if measured else None

    def notes(self, classes: Classes, sums: Counted | None = None) -> list[str]:
        """What the score does not show, in lines: main figures of images without labels, or of one class.

        Args:
            classes: The classes of the data set.
            sums: The added sums of a set of images; by default those of the last `compute`.
        """
        sums = self._computed() if sums is None else sums
        lines = []
        for metric in self._measured(sums):
            if not metric.main:
                continue
            if math.isnan(metric.figures(sums)[metric.main]):
                lines.append(f"{metric.main} is not measured: no image has labels for it")
            times = metric.occurrences(sums)
            if times is not None and times.size > 1 and np.count_nonzero(times) == 1:
                only = classes.names[int(times.argmax())]
                lines.append(
                    f"{metric.main} is measured on one class only: the labels show {only} and no other"
                )
        return lines

    def _scored(self, metrics: Iterable[ImageMetric]) -> list[ImageMetric]:
        """Those metrics whose main figures make the score."""
        leading = [m for m in metrics if m.main and m.answer not in self.untrained]
        return [metric for metric in leading if metric.answer in PRIMARY] or leading

    def _measured(self, sums: Counted) -> list[ImageMetric]:
        """The metrics that the sums are of."""
        return [metric for metric in self if any(name in sums for name in metric.names)]

    def _computed(self) -> Counted:
        """The sums of all processes at the last `compute`."""
        return {name: value for metric in self for name, value in metric.computed.items()}


def _names(metric: ImageMetric) -> list[str]:
    """The names of a metric's figures."""
    return list(metric.figures({name: getattr(metric, name).cpu().numpy() for name in metric.names}))


def total(many: Iterable[Counted]) -> Counted:
    """The sums of a set of images, from those of its images or of disjoint subsets; integers become int64."""
    added: Counted = {}
    for sums in many:
        for name, value in sums.items():
            # the counts of a single image may be in less, those of many may not fit
            wide = value.astype(np.int64) if np.issubdtype(value.dtype, np.integer) else value
            added[name] = added[name] + wide if name in added else wide.copy()
    return added
