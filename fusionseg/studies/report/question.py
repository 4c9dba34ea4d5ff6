"""What a report asks of a study: which figures decide, against which variant, over which seeds."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fusionseg.config.errors import UsageError
from fusionseg.config.type_names import nearest
from fusionseg.studies.report.figures import bare, split_of
from fusionseg.studies.report.numbers import count, listed
from fusionseg.studies.report.score_parts import needed_parts, score_parts
from fusionseg.studies.results import Results
from fusionseg.studies.run_result import RunResult


@dataclass(frozen=True)
class Question:
    """What a report asks of the results of a study.

    Attributes:
        results: The runs.
        metrics: The figures that are tested, such as `val/score`; the first is the main one.
        reference: The variant that the others are compared with.
        seeds: The seeds that every variant is planned with.
        variants: The variants that take part: all but those with a pruned run.
        pruned: The variants that do not, because a run of them was pruned.
        split_score: Whether the parts of the score are tested in its place, because the variants' scores are
            of different tasks.
    """

    results: Results
    metrics: tuple[str, ...]
    reference: str
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    pruned: tuple[str, ...] = ()
    split_score: bool = False

    @property
    def metric(self) -> str:
        """The figure that decides."""
        return self.metrics[0]

    @property
    def split(self) -> str:
        """The split that the tested figures are of."""
        return split_of(self.metric)

    @property
    def others(self) -> tuple[str, ...]:
        """The variants that are compared with the reference."""
        return tuple(name for name in self.variants if name != self.reference)

    @property
    def optimistic(self) -> bool:
        """Whether validation scores are of an epoch that was chosen by them."""
        return self.results.declared.get("epoch") == "best"

    def finished(self, variant: str) -> list[RunResult]:
        """The finished runs of a variant."""
        return [run for run in self.results.of(variant).values() if run.status == "finished"]

    def missing(self, variant: str) -> list[int]:
        """The planned seeds that a variant has no finished run of."""
        having = {run.seed for run in self.finished(variant)}
        return [seed for seed in self.seeds if seed not in having]

    def lacking(self, variant: str, figure: str) -> list[int]:
        """The planned seeds of which a variant has no such figure: also where a run's is undefined."""
        having = self.figures(variant, figure)
        return [seed for seed in self.seeds if seed not in having]

    def tested(self, variant: str) -> bool:
        """Whether a variant was evaluated on test images."""
        return any(name.startswith("test/") for run in self.finished(variant) for name in run.figures)

    def tuned(self, variant: str, split: str) -> set[bool]:
        """Whether the figures of a variant's runs are of tuned decoders; both where runs differ in that."""
        return {split in run.tuned for run in self.finished(variant)}

    def tuned_anywhere(self, variant: str) -> bool:
        """Whether a variant has figures of tuned decoders, of any split."""
        return any(run.tuned for run in self.finished(variant))

    def measured(self) -> list[str]:
        """The figures that any finished run of the variants has, in their order."""
        runs = (run for variant in self.variants for run in self.finished(variant))
        return list(dict.fromkeys(name for run in runs for name in run.figures))

    def counts(self, variant: str, metric: str) -> bool:
        """Whether a figure is measured and of tasks that the variant trains, as far as its score tells."""
        measured = any(metric in run.figures for run in self.finished(variant))
        return measured and self.trains(variant, bare(metric))

    def trains(self, variant: str, figure: str) -> bool:
        """Whether a variant trains the tasks that a figure, named without its split, is of."""
        runs = self.finished(variant)
        parts = score_parts(runs[0].figures, self.split) if runs else frozenset()
        return not parts or needed_parts(figure) <= parts

    def figures(self, variant: str, figure: str) -> dict[int, float]:
        """A figure of a variant's finished runs by their seeds; none of a task that it does not train."""
        return self.results.figures(variant, figure) if self.trains(variant, bare(figure)) else {}


def question(results: Results, metric: str | None = None, reference: str | None = None) -> Question:
    """The question of a study, as it was declared or as given.

    Args:
        results: Its runs.
        metric: A figure that decides in place of the study's own; several with commas between. A name without
            a split is one of the split of the study's metric.
        reference: A variant to compare with in place of the study's own.

    Raises:
        UsageError: If nothing has finished, or there is no such figure or variant.
    """
    if not results.runs:
        raise UsageError(f"{results.name}: expected runs, found none")
    pruned = tuple(dict.fromkeys(run.variant for run in results.runs if run.status == "pruned"))
    variants = tuple(name for name in results.variants if name not in pruned)
    if not any(run.status == "finished" and run.figures for run in results.runs if run.variant in variants):
        states = listed(sorted({run.status for run in results.runs}))
        raise UsageError(
            f"{results.name}: expected a finished and evaluated run, found {count(len(results.runs), 'run')} "
            f"({states}): let the study end, or run `evaluate` on the run folders"
        )
    chosen = reference or results.reference
    if chosen not in variants:
        raise UsageError(f"no variant {chosen!r}{nearest(chosen, variants)}", "reference")
    seeds = tuple(dict.fromkeys([*_declared_seeds(results), *(run.seed for run in results.runs)]))
    plain = Question(results, (results.metric,), chosen, seeds, variants, pruned)
    if metric:
        return replace(plain, metrics=_given(metric, plain))
    return _comparable(replace(plain, metrics=_given(results.metric, plain)))


def notices(asked: Question) -> list[str]:
    """What keeps the study from an answer, one line each: single seeds, failed baselines, tuned decoders."""
    lines = []
    if len(asked.seeds) == 1:
        lines.append(f"one seed ({asked.seeds[0]}): no spread over trainings and no test; add seeds")
    for task, variant in (asked.results.declared.get("baselines") or {}).items():
        runs = asked.results.of(variant)
        failed = [seed for seed, run in runs.items() if run.status == "failed"]
        if not runs:
            lines.append(f"the {task} baseline {variant!r} has no run{nearest(variant, asked.variants)}")
        elif failed:
            lines.append(
                f"the {task} baseline {variant!r} failed with {count(len(failed), 'seed')} "
                f"({listed(failed)}): its tests and Delta-m are withheld"
            )
    tuned = {name: asked.tuned(name, asked.split) for name in asked.variants}
    if len(set().union(*tuned.values())) > 1:
        having = [name for name, kinds in tuned.items() if True in kinds]
        lines.append(
            f"tuned decoders ({listed(having)}) are not compared with untuned ones: tune all runs and "
            f"evaluate them again, both with --checkpoint {asked.results.declared.get('epoch', 'best')}, or "
            "evaluate with --untuned"
        )
    return lines


def report_notices(asked: Question) -> None:
    """Prints what keeps the study from an answer."""
    for line in notices(asked):
        print(line, file=sys.stderr)


def _declared_seeds(results: Results) -> Sequence[int]:
    return results.declared.get("seeds") or ()


def _given(metric: str, asked: Question) -> tuple[str, ...]:
    """The figures of an argument, each checked."""
    known = asked.measured()
    split = split_of(asked.results.metric)
    names = [name.strip() for name in metric.split(",")]
    full = [name if "/" in name else f"{split}/{name}" for name in names]
    for name in full:
        if name not in known:
            raise UsageError(f"no run has a figure {name!r}{nearest(name, known)}", "metric")
    return tuple(dict.fromkeys(full))


def _comparable(asked: Question) -> Question:
    """The question; the parts of the score take its place where variants have scores of different tasks."""
    if bare(asked.metric) != "score":
        return asked
    parts = {
        name: score_parts(runs[0].figures, asked.split)
        for name in asked.variants
        if (runs := asked.finished(name))
    }
    if len(set(parts.values())) < 2:
        return asked
    names = [name for name in ("miou", "covering") if any(name in own for own in parts.values())]
    return replace(asked, metrics=tuple(f"{asked.split}/{name}" for name in names), split_score=True)
