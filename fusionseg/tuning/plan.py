"""What is tuned for a figure, and what has to be measured for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.engine.decoding import Parameters
from fusionseg.heads import Head, Range, RegionHead, SemanticHead
from fusionseg.metrics import ImageMetric, MetricSuite

FUSED = ("semantic", "region")
"""The tasks whose labels are fused, and the answers in which they are."""
FUSIONS = ("fused", "panoptic")


@dataclass(frozen=True)
class Plan:
    """The parameters that a figure depends on, and the metrics that it is made of.

    Attributes:
        figure: The figure, without its split.
        ranges: Where each parameter is looked for, by `task.parameter`.
        own: The parameters as the heads have them.
        tried: The metrics of what the parameters change, which each trial measures.
        fixed: The figure's other metrics, which are measured once.
        untrained: Answers that do not count in the score.
        calibrated: The tasks whose probabilities get a temperature.
    """

    figure: str
    ranges: Mapping[str, Range]
    own: Parameters
    tried: tuple[ImageMetric, ...]
    fixed: tuple[ImageMetric, ...]
    untrained: frozenset[str]
    calibrated: tuple[str, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """The tasks whose decoding is tuned."""
        return list(self.own)

    @property
    def kept(self) -> list[str]:
        """The tasks whose outputs are kept."""
        return list(dict.fromkeys([*self.tasks, *self.calibrated]))

    @cached_property
    def answers(self) -> set[str]:
        """The answers that are measured."""
        return {metric.answer for metric in (*self.tried, *self.fixed)}

    @property
    def decoded_once(self) -> list[str]:
        """The tasks whose labels are needed, but do not depend on the parameters."""
        needed = self.answers | (set(FUSED) if self.answers & set(FUSIONS) else set())
        return sorted(needed - set(self.tasks) - set(FUSIONS))

    def figures(self, sums: Mapping[str, object]) -> dict[str, float]:
        """The figures of the measured metrics; the score only where it decides."""
        suite = MetricSuite([*self.tried, *self.fixed], self.untrained)
        figures = suite.figures(dict(sums))  # type: ignore[arg-type]
        return {name: value for name, value in figures.items() if name != "score" or self.figure == "score"}


def planned(heads: Mapping[str, Head], suite: MetricSuite, metric: str, temperature: bool = True) -> Plan:
    """What is tuned for a metric such as `val/score`, or `score`.

    Args:
        heads: The head of each task.
        suite: What is measured of them.
        metric: The figure that decides.
        temperature: Whether probabilities get temperatures, also where no decoding has parameters.

    Raises:
        UsageError: If there is no such figure, it is not of the validation split, or it does not depend on
            any parameter.
    """
    split, _, figure = metric.rpartition("/")
    if split not in ("", "val"):
        raise UsageError(f"expected a validation figure such as val/score, found {metric!r}", "metric")
    behind = suite.behind(figure)
    if not behind:
        known = [f"val/{name}" for name in suite.names]
        raise UsageError(f"no figure {metric!r}{nearest(f'val/{figure}', known)}", "metric")
    tunable = {task: head.tunable for task, head in heads.items() if head.tunable}
    calibrated = with_probabilities(heads) if temperature else ()
    if not tunable and calibrated:
        return Plan(figure, {}, {}, (), (), suite.untrained, calibrated)
    if not tunable:
        kinds = ", ".join(type(head).__name__ for head in heads.values())
        raise UsageError(f"expected a head whose decoding has parameters to tune, found {kinds}", "run")
    answers = {metric.answer for metric in behind}
    chosen = {task: ranges for task, ranges in tunable.items() if _changed(task) & answers}
    if not chosen:
        names = ", ".join(f"{task}.{name}" for task, ranges in tunable.items() for name in ranges)
        raise UsageError(f"val/{figure} does not depend on what can be tuned: {names}", "metric")
    changed = set().union(*map(_changed, chosen))
    return Plan(
        figure,
        {f"{task}.{name}": values for task, ranges in chosen.items() for name, values in ranges.items()},
        {task: {name: getattr(heads[task], name) for name in ranges} for task, ranges in chosen.items()},
        tuple(metric for metric in behind if metric.answer in changed),
        tuple(metric for metric in behind if metric.answer not in changed),
        suite.untrained,
        calibrated,
    )


def with_probabilities(heads: Mapping[str, Head]) -> tuple[str, ...]:
    """The tasks whose heads have probabilities that a temperature changes."""
    return tuple(
        task
        for task, head in heads.items()
        if isinstance(head, SemanticHead) or (isinstance(head, RegionHead) and head.predicts_boundaries)
    )


def _changed(task: str) -> set[str]:
    """The answers that depend on the labels of a task."""
    return {task, *(FUSIONS if task in FUSED else ())}
