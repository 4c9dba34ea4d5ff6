"""Run folders outside of any study: what they are of, and which epoch of them is compared."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fusionseg.config.errors import UsageError, mapping
from fusionseg.runs.evaluations import evaluation_file
from fusionseg.runs.folder import RunFolder
from fusionseg.studies.run_result import RunResult, run_result


def bare_run(path: Path, epoch: str) -> RunResult:
    """A run folder outside of any study: its variant is the folder above it if its own name is a number.

    Without an evaluation it has the figures that training measured, where they are of that epoch.
    """
    folder = RunFolder(path)
    seed = mapping(folder.configuration()).get("seed_everything")
    variant = path.resolve().parent.name if path.name.isdigit() else path.name
    status = folder.readable_summary().get("status", "missing")
    run = run_result(path, variant, seed if isinstance(seed, int) else 0, status, epoch)
    if run.figures or status != "finished" or epoch != "best":
        return run
    return replace(run, figures=(run.summary.get("best") or {}).get("metrics", {}))


def common_epoch(folders: Sequence[Path]) -> str:
    """The epoch that all finished runs were evaluated with; that of `best` counts if there are both.

    Raises:
        UsageError: If there is none.
    """
    finished = [path for path in folders if RunFolder(path).readable_summary().get("status") == "finished"]
    epochs = {path: _epochs(path) for path in finished}
    for epoch in ("best", "last"):
        if all(epoch in found for found in epochs.values()):
            return epoch
    other = next(path for path in finished if "best" not in epochs[path])
    best = next(path for path in finished if "last" not in epochs[path])
    raise UsageError(
        f"expected evaluations of one epoch of all runs, found `last` of {other} and `best` of {best}: "
        "evaluate both with --checkpoint best, or both with --checkpoint last"
    )


def _epochs(path: Path) -> list[str]:
    """The epochs that a run was evaluated with; without an evaluation the best one, as training has it."""
    splits = ("val", "test")
    epochs = ("best", "last")
    found = [epoch for epoch in epochs if any(evaluation_file(path, split, epoch) for split in splits)]
    return found or ["best"]
