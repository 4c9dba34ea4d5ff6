"""Every run: how it ended, what it measured, the command that repeats it, and why it failed."""

from fusionseg.pages.blocks import Block, Cell, Column, Log, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.figures import title
from fusionseg.studies.report.numbers import duration, shown
from fusionseg.studies.run_result import RunResult

NO_RUN = {"missing": "not begun", "running": "running", "interrupted": "interrupted", "pruned": "pruned"}


def section(numbers: Analysis) -> Section:
    """The table of all runs, and the end of the log of each that failed."""
    results = numbers.asked.results
    figures = numbers.headlines[:4]
    columns = [
        Column("variant"),
        Column("seed", True),
        Column("status"),
        *(Column(title(figure), True) for figure in figures),
        Column("time", True),
        Column("command that repeats it", code=True),
    ]
    rows = [_row(run, figures) for run in results.runs]
    notes = [f"The study: {results.declared['command']}"] if results.declared.get("command") else []
    records = [_record(run) for run in results.runs]
    blocks: list[Block] = [Table("runs", "Every run.", columns, rows, records, notes)]
    blocks += [
        Log(f"{run.variant}, seed {run.seed}: failed", run.reason.rstrip() or "no log")
        for run in results.runs
        if run.status == "failed"
    ]
    return Section("Runs", blocks)


def _row(run: RunResult, figures: tuple[str, ...]) -> list[Cell]:
    seconds = run.summary.get("seconds")
    return [
        Cell(run.variant),
        Cell(str(run.seed), run.seed),
        Cell(NO_RUN.get(run.status, run.status)),
        *(Cell(shown(run.figures.get(figure), 4), run.figures.get(figure)) for figure in figures),
        Cell(duration(seconds), seconds),
        Cell(run.command),
    ]


def _record(run: RunResult) -> dict[str, Value]:
    return {
        "variant": run.variant,
        "seed": run.seed,
        "status": run.status,
        "folder": str(run.folder),
        "seconds": run.summary.get("seconds"),
        **run.figures,
        "command": run.command,
    }
