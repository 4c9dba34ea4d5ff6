"""What region heads could reach at best: the figures of their own targets, decoded."""

from fusionseg.pages.blocks import Cell, Column, Section, Table, Value
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.facts import json_of
from fusionseg.studies.report.figures import bare, title
from fusionseg.studies.report.numbers import shown
from fusionseg.studies.run_result import RunResult


def section(numbers: Analysis) -> Section | None:
    """A row for each variant with an oracle, beside what it reaches; nothing where there is none.

    An oracle is a file `evaluation/<split>_oracle.json` with `metrics`, as an evaluation has them.
    """
    asked = numbers.asked
    found = {
        name: oracle
        for name in asked.variants
        for run in asked.finished(name)[:1]
        if (oracle := _oracle(run, asked.split))
    }
    if not found:
        return None
    figures = [figure for figure in numbers.headlines if any(bare(figure) in own for own in found.values())]
    rows = []
    records: list[dict[str, Value]] = []
    for name, own in found.items():
        means = [numbers.mean(name, figure).mean for figure in figures]
        best = [own.get(bare(figure)) for figure in figures]
        rows.append([Cell(name), Cell("reached"), *(Cell(shown(value), value) for value in means)])
        rows.append([Cell(name), Cell("oracle"), *(Cell(shown(value), value) for value in best)])
        records += [
            {"variant": name, "row": row, **dict(zip(figures, values, strict=True))}
            for row, values in (("reached", means), ("oracle", best))
        ]
    columns = [Column("variant"), Column("row"), *(Column(title(figure), True) for figure in figures)]
    notes = [
        "Oracle: the targets that the head learns from, decoded as its answers are. No training reaches more."
    ]
    table = Table("oracles", "What the heads' targets would reach.", columns, rows, records, notes)
    return Section("Oracles", [table])


def _oracle(run: RunResult, split: str) -> dict[str, float]:
    """The figures of an oracle; empty without one that can be read."""
    metrics = json_of(RunFolder(run.folder).evaluated(f"{split}_oracle")).get("metrics")
    known = metrics if isinstance(metrics, dict) else {}
    return {name: float("nan") if value is None else float(value) for name, value in known.items()}
