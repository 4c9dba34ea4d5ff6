"""Keeps the list of the files that a run was trained on."""

import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from fusionseg.data.base import DataError, SegmentationDataset, Split
from fusionseg.data.datamodule import SegmentationDataModule
from fusionseg.runs import training_files
from fusionseg.runs.folder import RunFolder


class TrainingFiles(Callback):
    """Writes `training_files.txt` into the run folder: the name and the digest of each training image's file.

    A thread reads the files while training begins. What an earlier part of the run was trained on stays in
    the list. Validation images that are in it are reported at the end.
    """

    def __init__(self) -> None:
        self.inherited: dict[str, str] = {}
        """The names by digests of what the weights had been trained on before, if the run began with some."""
        self._stop = Event()
        self._pending: Future[str] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not isinstance(data, SegmentationDataModule):
            return
        self._stop.clear()
        pool = ThreadPoolExecutor(1, "digests")
        self._pending = pool.submit(self._write, RunFolder(trainer.default_root_dir), data.datasets)
        pool.shutdown(wait=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop.set()
        self._finish()

    def _write(self, run: RunFolder, datasets: Mapping[Split, SegmentationDataset]) -> str:
        """Writes the list, and gives the validation images that are in it."""
        known = {**self.inherited, **training_files.read(run.training_files)}
        for found, name in training_files.digests(datasets["train"]):
            known[found] = name
            if self._stop.is_set():
                break
        if known:
            training_files.write(run.training_files, known)
        if self._stop.is_set() or not known or "val" not in datasets:
            return ""
        return training_files.trained_on(known, datasets["val"])

    def _finish(self) -> None:
        """Waits for the list; that it cannot be written costs no run."""
        pending = self._pending
        self._pending = None
        try:
            if pending and (seen := pending.result()):
                print(f"val scores {seen}, that were trained on", file=sys.stderr)
        except (OSError, DataError) as error:
            print(f"the list of training files is not complete: {error}", file=sys.stderr)
