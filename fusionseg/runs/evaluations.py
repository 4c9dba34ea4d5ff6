"""What an evaluation of a run left."""

import json
from collections.abc import Iterator
from pathlib import Path

from fusionseg.files.atomic import Json
from fusionseg.runs.folder import RunFolder


def evaluation(run: Path, split: str = "val", epoch: str | None = None) -> Json | None:
    """The content of an evaluation of a run; None if there is none that can be read.

    Args:
        run: The run folder.
        split: The split.
        epoch: Which epoch's, `last` or `best`; where left out what lies in the place of the best one's, which
            is another's in older runs.
    """
    return next((content for _, content in evaluations(run, split, epoch)), None)


def evaluation_file(run: Path, split: str, epoch: str) -> Path | None:
    """The file of an evaluation of an epoch; None if there is none that can be read."""
    return next((path for path, _ in evaluations(run, split, epoch)), None)


def figures(run: Path, epoch: str, split: str = "val") -> Json | None:
    """The figures of an evaluation of the epoch that counts; None if there is none that can be read."""
    content = evaluation(run, split, epoch)
    return None if content is None else content["metrics"]


def evaluations(run: Path, split: str, epoch: str | None) -> Iterator[tuple[Path, Json]]:
    """The files that an evaluation of an epoch may lie in and that can be read, with their content.

    Older runs had one place for all epochs, and their files say which one they are of.
    """
    folder = RunFolder(run)
    for path in dict.fromkeys([folder.evaluated(split, epoch or "best"), folder.evaluated(split)]):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            fits = epoch is None or content["checkpoint"] == epoch
            if fits and isinstance(content["metrics"], dict):
                yield path, content
        except (OSError, ValueError, KeyError, TypeError):
            continue
