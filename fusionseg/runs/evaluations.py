"""What an evaluation of a run left."""

import json
from pathlib import Path

from fusionseg.files.atomic import Json
from fusionseg.runs.folder import RunFolder


def evaluation(run: Path, split: str = "val", epoch: str | None = None) -> Json | None:
    """The content of an evaluation of a run; None if there is none that can be read.

    Args:
        run: The run folder.
        split: The split.
        epoch: Which epoch's, `last` or `best`; any where left out.
    """
    try:
        content = json.loads(RunFolder(run).evaluated(split).read_text(encoding="utf-8"))
        fits = epoch is None or content["checkpoint"] == epoch
        return content if fits and isinstance(content["metrics"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def figures(run: Path, epoch: str, split: str = "val") -> Json | None:
    """The figures of an evaluation of the epoch that counts; None if there is none that can be read."""
    content = evaluation(run, split, epoch)
    return None if content is None else content["metrics"]
