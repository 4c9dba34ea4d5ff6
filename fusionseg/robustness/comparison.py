"""Runs beside each other under the same corruptions, as rows of a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionseg.corruptions import Corruption
from fusionseg.files.csv_text import Value
from fusionseg.robustness.results import Results

FIGURES = {"miou": "mIoU", "covering": "covering", "pq": "PQ"}
"""The figures of the printed table and the picture, by what they are called there."""


@dataclass(frozen=True)
class Comparison:
    """Results of one or several runs on the same images.

    Attributes:
        runs: The results of each run, by its name.
        corruptions: The corruptions that are compared.
        severities: Their severities, rising.
    """

    runs: Mapping[str, Results]
    corruptions: Sequence[Corruption]
    severities: Sequence[int]

    @property
    def figures(self) -> dict[str, str]:
        """The main figures that some run has, by what they are called; the score if none has any."""
        known = {name for results in self.runs.values() for name in results.clean}
        return {name: shown for name, shown in FIGURES.items() if name in known} or {"score": "score"}

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each main figure with each run that has it."""
        return [(name, run) for name in self.figures for run, own in self.runs.items() if name in own.clean]

    @property
    def families(self) -> list[str]:
        """The families of the corruptions."""
        return list(dict.fromkeys(corruption.family for corruption in self.corruptions))

    @property
    def left_out(self) -> list[str]:
        """The families that training of some run showed, which are no part of the mean."""
        shown = {family for results in self.runs.values() for family in results.trained_on}
        return [family for family in self.families if family in shown]

    def names(self, family: str | None = None) -> list[str]:
        """The names of the corruptions of a family, or of all that are part of the mean."""
        left_out = self.left_out
        return [
            c.name
            for c in self.corruptions
            if c.family == family or (not family and c.family not in left_out)
        ]

    def curve(self, run: str, figure: str, family: str | None = None) -> list[float]:
        """A figure of a run on clean images, and its mean of a family, or over families, at each severity."""
        results = self.runs[run]
        clean = results.clean.get(figure, math.nan)
        return [clean, *(results.mean(figure, self.names(family), [s]) for s in self.severities)]


def table(comparison: Comparison) -> str:
    """The main figures of each corruption, as means over severities, and their mean over families."""
    runs = comparison.runs
    marks = {run: f"({number})" if len(runs) > 1 else "" for number, run in enumerate(runs, 1)}
    left_out = comparison.left_out
    over = ", ".join(map(str, comparison.severities))
    images = next(iter(runs.values())).count
    lines = [f"{images} images of val; means over severities {over}"]
    lines += [f"{mark} {run}" for run, mark in marks.items() if mark]
    heads = [f"{comparison.figures[figure]} {marks[run]}".strip() for figure, run in comparison.columns]
    lines.append(f"{'corruption':20}{'family':15}" + "".join(f"{head:>14}" for head in heads))
    lines.append(_line(comparison, "clean", "", None))
    for corruption in comparison.corruptions:
        family = f"{corruption.family}{' *' * (corruption.family in left_out)}"
        lines.append(_line(comparison, corruption.name, family, [corruption.name]))
    lines.append(_line(comparison, "mean of families", "", comparison.names()))
    if left_out:
        lines.append(f"* left out of the mean, as training shows it too: {', '.join(left_out)}")
    return "\n".join(lines)


def rows(comparison: Comparison) -> list[dict[str, Value]]:
    """All figures, a row for each run, corruption and severity: 0 is clean, `mean` is over severities."""
    columns = list(dict.fromkeys(name for results in comparison.runs.values() for name in results.clean))
    found: list[dict[str, Value]] = []

    def add(run: str, corruption: str, family: str, severity: str, figures: Mapping[str, float]) -> None:
        counts = "yes" if family not in comparison.left_out else "no"
        place = {"run": run, "corruption": corruption, "family": family, "severity": severity}
        found.append({**place, "in_mean": counts, **{name: figures.get(name) for name in columns}})

    for run, results in comparison.runs.items():
        add(run, "clean", "", "0", results.clean)
        for corruption in comparison.corruptions:
            name = corruption.name
            for severity in comparison.severities:
                add(run, name, corruption.family, str(severity), results.corrupted[name][severity])
            means = {column: results.mean(column, [name], comparison.severities) for column in columns}
            add(run, name, corruption.family, "mean", means)
        kept = comparison.names()
        means = {column: results.mean(column, kept, comparison.severities) for column in columns}
        add(run, "mean of families", "", "mean", means)
    return found


def _line(comparison: Comparison, title: str, family: str, names: Sequence[str] | None) -> str:
    """A line of the table: of clean images, or of the mean of some corruptions."""
    cells = []
    for figure, run in comparison.columns:
        results = comparison.runs[run]
        clean = results.clean[figure]
        value = clean if names is None else results.mean(figure, names, comparison.severities)
        cells.append("-" if math.isnan(value) else f"{value:.4f}")
    return f"{title:20}{family:15}" + "".join(f"{cell:>14}" for cell in cells)
