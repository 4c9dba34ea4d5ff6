"""How many seeds a difference needs, from the runs of a study so far."""

from fusionseg.config.errors import UsageError
from fusionseg.studies.folder import StudyFolder
from fusionseg.studies.live import duration
from fusionseg.studies.results import Results, collect
from fusionseg.studies.statistics import plan, smallest_difference, spread_interval

SHOWN = (3, 4, 5, 6, 8, 10, 12, 15, 20)


def seed_plan(folder: StudyFolder, name: str, effect: float) -> str:
    """A table for each variant: the power to find a difference with 3 to 20 seeds, and its cost.

    Args:
        folder: The study's folder.
        name: Which study.
        effect: The difference from the reference that matters, in the unit of the deciding metric.

    Raises:
        UsageError: If there are fewer than 2 seeds of the reference and another variant.
    """
    results = collect([folder.path], name)
    others = [variant for variant in results.variants if variant != results.reference]
    baseline = results.figures(results.reference, results.metric)
    lines = [
        f"{results.metric}, differences from {results.reference}; power to find {effect:g} at level 0.05"
    ]
    for variant in others:
        own = results.figures(variant, results.metric)
        seeds = sorted(own.keys() & baseline.keys())
        if len(seeds) < 2:
            continue
        differences = [own[seed] - baseline[seed] for seed in seeds]
        spread = spread_interval(differences)
        least = smallest_difference(spread.spread, len(seeds), comparisons=len(others))
        lines += [
            "",
            f"{variant}: spread of the difference {spread.spread:.4f} from {len(seeds)} seeds "
            f"(95 % interval {spread.low:.4f} to {spread.high:.4f}); {len(seeds)} seeds could show "
            f"{least:.4f} with power 0.8",
            "  seeds   power   at the upper 80 % bound of the spread   time of both variants",
        ]
        seconds = _seconds(results, variant) + _seconds(results, results.reference)
        for planned in plan(differences, effect, seeds=SHOWN, comparisons=len(others)):
            lines.append(
                f"  {planned.seeds:5}   {planned.power:5.2f}   {planned.power_at_upper_spread:37.2f}   "
                f"{duration(seconds * planned.seeds)}"
            )
    if len(lines) == 1:
        raise UsageError(f"{folder.path}: expected 2 finished seeds of two variants: run a pilot of 3 seeds")
    return "\n".join(lines)


def _seconds(results: Results, variant: str) -> float:
    """Mean seconds of a variant's finished runs."""
    runs = [run for run in results.of(variant).values() if run.status == "finished"]
    return sum(float(run.summary.get("seconds") or 0) for run in runs) / max(1, len(runs))
