"""Whether a run folder holds another run than the one that a study has in it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fusionseg.config.places import PLACES
from fusionseg.files.atomic import finite
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.identity import differences, settings_of

MOVABLE = re.compile(PLACES)
"""Settings that may have changed since a run began: `fit --resume` takes data that moved."""

PRECISION = "trainer.precision"


def another_run(path: Path, settings: Mapping[str, Any], seed: int) -> str:
    """What differs between a run and the one whose configuration lies in a folder; empty if it is that one.

    It is taken to be that one where there is no configuration that can be read, as where it has not begun.

    Args:
        path: The run folder.
        settings: The resolved settings of the run by keys with dots, as `settings_of` has them.
        seed: Its seed.
    """
    try:
        found = settings_of(RunFolder(path).config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    if "" in found or not settings:  # an empty file, or a study that kept no settings
        return ""
    other = found.get("seed_everything", seed)
    lines = differences(_comparable(found), _comparable(settings), ("there", "here"))
    lines += [f"seed {other} there, {seed} here"] if other != seed else []
    return "; ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that cannot have changed since, as JSON has them; the precision 32 is 32-true."""
    kept = {key: value for key, value in settings.items() if key and not MOVABLE.match(key)}
    short = {**kept, PRECISION: str(kept.get(PRECISION)).partition("-")[0]}
    as_json: dict[str, Any] = json.loads(json.dumps(finite(short), default=str))
    return as_json
