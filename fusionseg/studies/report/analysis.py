"""All numbers of a report, computed once: what its sections show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import nan

from fusionseg.metrics.directions import lower_is_better
from fusionseg.studies.report.comparisons import Comparison, comparisons
from fusionseg.studies.report.data_variance import RESAMPLES, image_intervals
from fusionseg.studies.report.figures import bare, headlines, split_of
from fusionseg.studies.report.question import Question
from fusionseg.studies.statistics import Interval, mean_interval


@dataclass(frozen=True)
class Analysis:
    """The numbers of a report.

    Attributes:
        asked: What is asked of which runs.
        comparisons: Each variant against the reference, by each tested figure.
    """

    asked: Question
    comparisons: tuple[Comparison, ...]

    def mean(self, variant: str, figure: str) -> Interval:
        """The mean of a figure over the seeds that a variant has it of; no interval where it lacks one."""
        values = self.asked.figures(variant, figure)
        interval = mean_interval(list(values.values()))
        return interval if not self.asked.lacking(variant, figure) else replace(interval, low=nan, high=nan)

    @cached_property
    def headlines(self) -> tuple[str, ...]:
        """The figures of the first table."""
        found = headlines(self.asked.measured(), self.asked.metrics, self.asked.split)
        # scores of different tasks would be compared
        return tuple(name for name in found if not (self.asked.split_score and bare(name) == "score"))

    @cached_property
    def compared(self) -> Mapping[tuple[str, str], Comparison]:
        """The comparisons by variant and figure."""
        return {(one.variant, one.metric): one for one in self.comparisons}

    def significant(self, variant: str, figure: str) -> bool:
        """Whether a variant is better than the reference by a figure: what is bold."""
        found = self.compared.get((variant, figure))
        return found is not None and found.verdict == "better"

    def optimistic(self, figure: str) -> bool:
        """Whether a figure is of images by which the epoch was chosen."""
        return self.asked.optimistic and split_of(figure) == "val"

    def tuned(self, variant: str, figure: str) -> bool:
        """Whether a figure of a variant is, in any run, of a decoder that validation images tuned."""
        return True in self.asked.tuned(variant, split_of(figure))

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """The variants among which validation chooses: those of a search, or of a grid over axes."""
        declared = self.asked.results.declared
        if not (declared.get("axes") or declared.get("search")) or self.asked.split != "val":
            return ()
        placed = {run.variant for run in self.asked.results.runs if run.point} or set(self.asked.variants)
        return tuple(name for name in self.asked.variants if name in placed)

    @cached_property
    def chosen(self) -> str | None:
        """The variant that validation chose: the best candidate; None where there are not several."""
        return self._best_of(self.candidates) if len(self.candidates) > 1 else None

    def is_chosen_by(self, variant: str, figure: str) -> bool:
        """Whether a variant was chosen by a figure."""
        return variant == self.chosen and figure == self.asked.metric

    @cached_property
    def best(self) -> str | None:
        """The variant with the best mean of the deciding figure, of those without missing seeds."""
        return self._best_of(self.asked.variants)

    def _best_of(self, candidates: Iterable[str]) -> str | None:
        complete = [name for name in candidates if not self.asked.lacking(name, self.asked.metric)]
        means = {name: self.mean(name, self.asked.metric).mean for name in complete}
        known = {name: value for name, value in means.items() if value == value}
        sign = -1 if lower_is_better(self.asked.metric) else 1
        return max(known, key=lambda name: sign * known[name], default=None)


def analysis(asked: Question, resamples: int = RESAMPLES) -> Analysis:
    """The numbers of a report.

    Args:
        asked: What is asked of which runs.
        resamples: How often images are drawn.
    """
    return Analysis(asked, tuple(comparisons(asked, image_intervals(asked, resamples))))
