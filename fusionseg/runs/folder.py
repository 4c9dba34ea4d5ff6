"""The run folder: every path in it, and which process may write to it."""

import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path

from lightning.fabric.utilities import rank_zero_only

from fusionseg.files.atomic import Json, remove_drafts

PARENT = "runs"
"""The folder in which new run folders are made."""


class RunFolder:
    """The folder of one run; the only place that knows what lies in it.

    A process claims the folder when it chooses it and releases it when training has ended. Of several ranks
    the first one claims. A claim is a lock on the file `.claim`, which the operating system drops when the
    process dies.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.summary = self.path / "summary.json"
        self.metrics = self.path / "metrics.csv"
        self.training_files = self.path / "training_files.txt"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.ckpt"
        self.last = self.checkpoints / "last.ckpt"
        self.pictures = self.path / "pictures"
        self.conflicts = self.pictures / "conflicts.png"
        self.evaluation = self.path / "evaluation"
        self.tracking = self.path / "wandb"
        self._lock: int | None = None
        self._before: set[Path] | None = None

    @classmethod
    def new(cls, experiment: str) -> "RunFolder":
        """Creates and claims a new folder: `runs/<time>-<experiment>`, with `-2`, `-3` ... where it exists.

        Raises:
            FileExistsError: If there are 999 of them.
        """
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{experiment}"
        for number in range(1, 1000):
            folder = cls(Path(PARENT) / (stem if number == 1 else f"{stem}-{number}"))
            if _is_first_rank():
                try:
                    folder.path.mkdir(parents=True)
                except FileExistsError:
                    continue
                folder.claim()
                folder._before = None
            elif folder.path.exists():
                continue
            return folder
        raise FileExistsError(
            f"{PARENT} holds 999 runs of {stem}: choose a folder with --out (default_root_dir)"
        )

    def claim(self, resume: bool = False) -> None:
        """Locks the folder for this process; does nothing if it is locked already, or on ranks other than 0.

        Args:
            resume: Whether the run in the folder is continued. If not, there must be none.

        Raises:
            FileExistsError: If the path is a file, another process trains in the folder, or it holds a run.
        """
        if self._lock is not None or not _is_first_rank():
            return
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self.path} is a file: choose a folder with --out (default_root_dir)")
        self._before = set(self.path.iterdir()) if self.path.is_dir() else None
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._claim_file)
        if resume:
            remove_drafts(self.path)
        elif any(path.exists() for path in (self.config, self.summary, self.metrics, self.checkpoints)):
            self.release()
            raise FileExistsError(
                f"{self.path} already holds a run: choose another folder with --out (default_root_dir), "
                "or remove this one"
            )

    def release(self) -> None:
        """Releases the lock, and removes the folder if it was made for it and is empty."""
        if self._lock is None:
            return
        self._claim_file.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None
        if self._before is None and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def discard(self) -> None:
        """Removes the files that the run wrote since the folder was claimed."""
        if self._lock is None:
            return
        written = {self.config, self.summary, self.metrics, self.training_files}
        written |= {self.checkpoints, self.pictures, self.tracking}
        for path in written - (self._before or set()):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def picture(self, epoch: int) -> Path:
        """The panel of an epoch, counted from 0."""
        return self.pictures / f"epoch_{epoch:03d}.png"

    def panels(self) -> list[Path]:
        """The panels that exist, in the order of epochs."""
        return sorted(self.pictures.glob("epoch_*.png"))

    def configuration(self) -> Path:
        """The configuration file.

        Raises:
            FileNotFoundError: If the folder holds no run.
        """
        if not self.config.is_file():
            raise FileNotFoundError(
                f"{self.path}: expected a run folder with {self.config.name} in it; is it the right folder?"
            )
        return self.config

    def best_checkpoint(self) -> Path:
        """The checkpoint with the best validation score.

        Raises:
            FileNotFoundError: If there is none (yet).
        """
        if not self.best.is_file():
            raise FileNotFoundError(
                f"{self.best}: no such checkpoint; has the run finished its first validation?"
            )
        return self.best

    def last_checkpoint(self) -> Path | None:
        """The checkpoint to resume from; None, with a notice, if the run stopped before its first one."""
        if self.last.is_file():
            return self.last
        print(f"{self.path} has no checkpoint yet: the run begins again", file=sys.stderr)
        return None

    def read_summary(self) -> Json:
        """The content of `summary.json`; empty if there is none."""
        summary: Json = {}
        if self.summary.is_file():
            summary = json.loads(self.summary.read_text(encoding="utf-8"))
        return summary

    @property
    def wandb_id(self) -> str | None:
        """The id of the run in W&B, if it was tracked there."""
        return (self.read_summary().get("wandb") or {}).get("id")

    @property
    def _claim_file(self) -> Path:
        return self.path / ".claim"


def _is_first_rank() -> bool:
    """Whether this is global rank 0, as Lightning reads it from the environment."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _locked(path: Path) -> int:
    """The descriptor of a file that this process has locked.

    Raises:
        FileExistsError: If another process holds the lock.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise FileExistsError(
                f"another process is training in {path.parent}: choose another folder with --out "
                "(default_root_dir)"
            ) from None
        except OSError:
            return descriptor  # a file system without locks
        if _same(descriptor, path):
            return descriptor
        os.close(descriptor)  # its last owner removed the file between the opening and the lock


def _same(descriptor: int, path: Path) -> bool:
    """Whether a descriptor is that of the file that the path names now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
