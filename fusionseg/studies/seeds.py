"""How many seeds a difference needs, from the runs of a study so far."""

from collections.abc import Sequence
from statistics import median

from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import duration
from fusionseg.studies.report.comparisons import compared
from fusionseg.studies.report.numbers import count
from fusionseg.studies.report.question import Question, question
from fusionseg.studies.results import collect
from fusionseg.studies.statistics import plan, smallest_difference, spread_interval

LEAST = 2
"""So many seeds make a spread."""

_EQUAL = "  all differences are equal so far, so that this pilot says nothing of their spread"

SHOWN = (3, 4, 5, 6, 8, 10, 12, 15, 20)


def seed_plan(folder: StudyFolder, name: str, effect: float) -> str:
    """A table for each comparison: the power to find a difference with 3 to 20 seeds, and its cost.

    As in the report, scores of different tasks are not compared, but the figures of each task.

    Args:
        folder: The study's folder.
        name: Which study.
        effect: The difference from the reference that matters, in the unit of the deciding metric.

    Raises:
        UsageError: If there are fewer than 2 seeds of the reference and another variant.
    """
    asked = question(collect([folder.path], name))
    pairs = compared(asked)
    found = {
        (variant, metric): differences
        for variant, metric in pairs
        if len(differences := _differences(asked, variant, metric)) >= LEAST
    }
    if not found:
        raise UsageError(f"{folder.path}: expected 2 finished seeds of two variants: run a pilot of 3 seeds")
    family = count(len(pairs), "comparison")
    lines = [f"differences from {asked.reference}; power to find {effect:g} at level 0.05, of {family}"]
    for (variant, metric), differences in found.items():
        seconds = _seconds(asked, variant) + _seconds(asked, asked.reference)
        lines += ["", *_table(f"{variant}, {metric}", differences, effect, len(pairs), seconds)]
    return "\n".join(lines)


def _differences(asked: Question, variant: str, metric: str) -> list[float]:
    """The differences of a variant from the reference, seed by seed; none of a task that one lacks."""
    own = asked.figures(variant, metric)
    baseline = asked.figures(asked.reference, metric)
    return [own[seed] - baseline[seed] for seed in sorted(own.keys() & baseline.keys())]


def _table(
    title: str, differences: Sequence[float], effect: float, comparisons: int, seconds: float
) -> list[str]:
    spread = spread_interval(differences)
    number = len(differences)
    least = smallest_difference(spread.spread, number, comparisons=comparisons)
    return [
        f"{title}: spread of the difference {spread.spread:.4f} from {number} seeds (95 % interval "
        f"{spread.low:.4f} to {spread.high:.4f}); {number} seeds could show {least:.4f} with power 0.8",
        *([_EQUAL] if spread.spread == 0 else []),
        "  seeds   power   at the upper 80 % bound of the spread   time of both variants",
        *(
            f"  {planned.seeds:5}   {planned.power:5.2f}   {planned.power_at_upper_spread:37.2f}   "
            f"{duration(seconds * planned.seeds)}"
            for planned in plan(differences, effect, seeds=SHOWN, comparisons=comparisons)
        ),
    ]


def _seconds(asked: Question, variant: str) -> float:
    """Seconds of a run of a variant, the median, as one that was stopped may have waited for long."""
    seconds = [float(run.summary.get("seconds") or 0) for run in asked.finished(variant)]
    return median(seconds) if seconds else 0.0
