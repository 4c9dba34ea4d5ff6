"""What runs have on record about their data and their making."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusionseg.files.atomic import Json
from fusionseg.studies.report.question import Question
from fusionseg.studies.run_result import RunResult


def evaluation(run: RunResult, split: str) -> Json:
    """What an evaluation of a split wrote; empty without one that can be read."""
    file = run.evaluations.get(split)
    return {} if file is None else json_of(file)


def json_of(path: Path) -> Json:
    """The content of a file of JSON; empty without one that can be read, or where it is no mapping."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def region_kinds(asked: Question) -> list[str]:
    """What regions are in the data of the runs, in the words of the datasets."""
    first = (runs[0] for name in asked.variants if (runs := asked.finished(name)))
    kinds = (evaluation(run, asked.split).get("region") for run in first)
    return list(dict.fromkeys(kind for kind in kinds if kind))


def things_of(run: RunResult, split: str) -> list[int] | None:
    """The ids of the countable classes, as an evaluation of a split says; None where it does not."""
    content = evaluation(run, split)
    names = list(content.get("per_class", ()))
    return [names.index(name) for name in content["things"]] if "things" in content else None


def distinct(runs: Sequence[RunResult], *keys: str) -> list[Any]:
    """The different values of a key of `summary.json`, within others where several are given."""
    found = []
    for run in runs:
        value: Any = run.summary
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value not in found:
            found.append(value)
    return found
