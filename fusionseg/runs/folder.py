"""The run folder: every path in it, and which process may write to it."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from lightning_utilities.core.rank_zero import rank_zero_only

from fusionseg.files.atomic import Json, remove_drafts
from fusionseg.files.locks import locked, unlock

PARENT = "runs"
"""The folder in which new run folders are made."""


class RunFolder:
    """The folder of one run; the only place that knows what lies in it.

    A process claims the folder when it chooses it and releases it when training has ended. Of several ranks
    the first one claims. A claim is a lock on the file `.claim`, which the operating system drops when the
    process dies, while the file stays: a folder of a dead process without a checkpoint is used again.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.summary = self.path / "summary.json"
        self.metrics = self.path / "metrics.csv"
        self.curves = self.path / "curves.png"
        self.selection = self.path / "selection_rules.json"
        self.training_files = self.path / "training_files.txt"
        self.decoder = self.path / "decoder.yaml"
        self.exported = self.path / "model"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.ckpt"
        self.last = self.checkpoints / "last.ckpt"
        self.pictures = self.path / "pictures"
        self.conflicts = self.pictures / "conflicts.png"
        self.evaluation = self.path / "evaluation"
        self.tracking = self.path / "wandb"
        self._lock: int | None = None
        self._owner = 0
        self._before: set[Path] = set()
        self._made: list[Path] = []

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
                    folder._make(exist_ok=False)
                except FileExistsError:
                    continue
                folder.claim()
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
        self._make(exist_ok=True)
        if (lock := locked(self._claim_file)) is None:
            raise FileExistsError(
                f"another process is training in {self.path}: choose another folder with --out "
                "(default_root_dir)"
            )
        self._lock, alone = lock
        self._owner = os.getpid()
        died = alone and os.read(self._lock, 1) != b""  # a process that ends removes its claim
        if resume:
            remove_drafts(self.path)
        elif died and not self._has_checkpoint():
            self._remove(self._marks)
            remove_drafts(self.path)
        elif any(path.exists() for path in self._marks):
            self.release()
            raise FileExistsError(
                f"{self.path} already holds a run: choose another folder with --out (default_root_dir), "
                "continue the run with --resume, or remove this one"
            )
        os.write(self._lock, f"{os.getpid()}\n".encode())
        self._before = set(self.path.iterdir())

    def release(self) -> None:
        """Releases the lock, and removes the folder and those above that were made for it and are empty."""
        if self._lock is None:
            return
        if self._owner == os.getpid():  # and no process that was forked from it
            self._claim_file.unlink(missing_ok=True)
            unlock(self._lock)
        self._lock = None
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:  # it is not empty
                break

    def discard(self) -> None:
        """Removes the files that the run wrote since the folder was claimed, unless one is a checkpoint."""
        if self._lock is None or self._has_checkpoint():
            return
        self._remove({*self._marks, self.curves, self.selection, self.pictures, self.tracking} - self._before)

    @property
    def _marks(self) -> set[Path]:
        """What a folder that holds a run has at least one of."""
        return {self.config, self.summary, self.metrics, self.training_files, self.checkpoints}

    def _has_checkpoint(self) -> bool:
        return any(self.checkpoints.glob("[!.]*"))

    def _make(self, exist_ok: bool) -> None:
        """Makes the folder and remembers which were made for it, the innermost first.

        Raises:
            FileExistsError: If it exists and must not.
        """
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=exist_ok)
        except FileNotFoundError:  # another process removed the folder above, which was empty, in between
            self.path.mkdir(parents=True, exist_ok=exist_ok)
        self._made += missing

    @staticmethod
    def _remove(paths: Iterable[Path]) -> None:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def tracebacks(self) -> list[Path]:
        """The tracebacks that ranks left when the last training in the folder failed."""
        return list(self.path.glob("traceback*.txt"))

    def traceback_of(self, rank: int) -> Path:
        """The file for the traceback of a rank."""
        return self.path / (f"traceback_rank_{rank}.txt" if rank else "traceback.txt")

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

    def checkpoint(self, which: Literal["best", "last"] = "best") -> Path:
        """The checkpoint with the best validation score, or the last one.

        Raises:
            FileNotFoundError: If there is none (yet).
        """
        path = self.best if which == "best" else self.last
        if not path.is_file():
            first = "validation" if which == "best" else "epoch"
            raise FileNotFoundError(f"{path}: no such checkpoint; has the run finished its first {first}?")
        return path

    def last_checkpoint(self) -> Path | None:
        """The checkpoint to resume from; None, with a notice, if the run stopped before its first one."""
        if self.last.is_file():
            return self.last
        print(f"{self.path} has no checkpoint yet: the run begins again", file=sys.stderr)
        return None

    def trained_by(self) -> str:
        """The process that trains in the folder, such as "process 12"; empty if none does."""
        try:
            number = self._claim_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        if (lock := locked(self._claim_file)) is not None:
            unlock(lock[0])
            return ""
        return f"process {number or 'of unknown number'}"

    def readable_summary(self) -> Json:
        """The content of `summary.json`; empty if there is none that can be read."""
        try:
            return self.read_summary()
        except (OSError, ValueError):
            return {}

    def read_summary(self) -> Json:
        """The content of `summary.json`; empty if there is none."""
        summary: Json = {}
        if self.summary.is_file():
            summary = json.loads(self.summary.read_text(encoding="utf-8"))
        return summary

    def evaluated(self, what: str, checkpoint: str = "best", passes: str = "") -> Path:
        """The figures of an evaluation; beside those of a split lie `.csv` (images) and `.npz` (sums)."""
        return self.evaluation / ("" if checkpoint == "best" else checkpoint) / passes / f"{what}.json"

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
