"""What the runs were made with: versions, commit, hardware, precision."""

import json
from importlib.metadata import version
from typing import Any

from fusionseg.pages.blocks import Cell, Column, Section, Table, Value
from fusionseg.studies.report.analysis import Analysis
from fusionseg.studies.report.facts import distinct, region_kinds
from fusionseg.studies.report.numbers import count
from fusionseg.studies.run_result import RunResult


def section(numbers: Analysis) -> Section | None:
    """A row for each fact, with all values where runs differ."""
    runs = [run for run in numbers.asked.results.runs if run.summary]
    if not runs:
        return None
    facts: dict[str, list[Any]] = {"report": [f"fusionseg {version('fusionseg')}"]}
    facts["commit"] = [_commit(value) for value in _commits(runs)]
    packages = dict.fromkeys(name for run in runs for name in run.summary.get("versions", {}))
    facts |= {name: distinct(runs, "versions", name) for name in packages}
    facts["device"] = [_device(value) for value in distinct(runs, "devices")]
    facts["precision"] = distinct(runs, "precision")
    declared = numbers.asked.results.declared
    if declared.get("budget"):
        facts["budget"] = [json.dumps(declared["budget"])]
    if steps := set((declared.get("budget_steps") or {}).values()):
        facts["steps"] = sorted(steps)
    facts["regions"] = region_kinds(numbers.asked)
    rows = []
    records: list[dict[str, Value]] = []
    for name, values in facts.items():
        known = [str(value) for value in values if value is not None]
        if known:
            differ = (
                f"{count(len(known), 'value')} among the runs" if len(known) > 1 and name != "regions" else ""
            )
            rows.append([Cell(name), Cell(", ".join(known), detail=differ)])
            records.append({"what": name, "value": ", ".join(known)})
    columns = [Column("what"), Column("value")]
    return Section("Made with", [Table("made-with", "What the runs were made with.", columns, rows, records)])


def _commits(runs: list[RunResult]) -> list[tuple[Any, Any]]:
    return list(dict.fromkeys((run.summary.get("commit"), run.summary.get("dirty")) for run in runs))


def _commit(value: tuple[Any, Any]) -> str | None:
    commit, dirty = value
    if not commit:
        return None
    return f"{commit[:12]}{' with changes that are not committed' if dirty else ''}"


def _device(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return f"{value.get('count', 1)} x {value.get('kind')} ({value.get('name')})"
