"""What a kind of score returns: figures of the whole set, a row for each image and threshold, and a curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fusionseg.metrics.undefined import undefined

Value: TypeAlias = str | int | float


@dataclass(frozen=True)
class Curve:
    """Precision and recall over thresholds.

    Attributes:
        title: What is measured.
        points: `threshold`, `precision`, `recall` and `f` of each threshold.
        best: The names of figures that are marked, with the precision and recall of each.
    """

    title: str
    points: Sequence[Mapping[str, float]]
    best: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Scores:
    """The scores of a set of images.

    Attributes:
        metrics: The figures of the set.
        rows: For each image, and threshold where there are any, what it adds.
        images: The number of images.
        classes: Figures of each class by its name, where there are classes.
        curve: Precision and recall, where thresholds trade them.
        best: The point of each image's own curve with the largest F-measure, where there are curves.
        notices: What is said beside the figures, among it which of them are undefined.
    """

    metrics: Mapping[str, float]
    rows: Sequence[Mapping[str, Value]]
    images: int
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Curve | None = None
    best: Sequence[Mapping[str, Value]] = ()
    notices: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "notices", [*self.notices, *undefined(self.metrics, self.notices)])
