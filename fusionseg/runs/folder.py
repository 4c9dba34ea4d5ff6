"""What lies in a run folder."""

import json
import shutil
import sys
import time
from pathlib import Path

from lightning.fabric.utilities import rank_zero_only


def configuration(run: Path) -> Path:
    """The configuration file of a run folder.

    Raises:
        FileNotFoundError: If the folder holds no run.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"{run}: expected a run folder with config.yaml in it; is it the right folder?"
        )
    return path


def best(run: Path) -> Path:
    """The best checkpoint of a run folder.

    Raises:
        FileNotFoundError: If there is none (yet).
    """
    path = run / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; has the run finished its first validation?")
    return path


def last(folder: Path) -> Path | None:
    """The checkpoint from which a run goes on; none, with a word about it, if it did not get as far as that."""
    path = folder / "checkpoints" / "last.ckpt"
    if path.is_file():
        return path
    print(f"{folder} has no checkpoint yet: the run begins again", file=sys.stderr)
    return None


def tracked_as(folder: Path) -> str | None:
    """The id under which W&B knows the run in a folder."""
    path = folder / "summary.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return (told.get("wandb") or {}).get("id")


WRITTEN = ("config.yaml", "summary.json", "metrics.csv", "checkpoints", "pictures", "wandb")
"""What a run folder may hold."""


@rank_zero_only
def check_unused(folder: Path) -> None:
    """Raises where a run would be written over another."""
    marks = ("config.yaml", "summary.json", "metrics.csv", "checkpoints")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose a folder with --out (default_root_dir)")
    if any((folder / mark).exists() for mark in marks):
        raise FileExistsError(
            f"{folder} already holds a run: choose another folder with --out (default_root_dir), or remove this one"
        )


def _clear(folder: Path, before: set[Path] | None) -> None:
    """Removes from a folder what a trainer writes and was not there before; the folder too, if it was not."""
    for path in {folder / name for name in WRITTEN} - (before or set()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if before is None and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def new_folder(experiment: str) -> Path:
    """A name for a new run folder that nothing has yet."""
    stem = f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{experiment}"
    names = (Path(stem if number == 1 else f"{stem}-{number}") for number in range(1, 1000))
    return next(path for path in names if not path.exists())
