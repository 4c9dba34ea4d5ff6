"""Records the configuration, the machine and the results of a run in its folder."""

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from rich.console import Console
from rich.table import Table

from fusionseg.callbacks.checkpoints import better
from fusionseg.callbacks.signals import Stopped
from fusionseg.config.recipe import import_path, plain
from fusionseg.files.atomic import Json, write_json, write_text
from fusionseg.files.state_dicts import Checkpoint
from fusionseg.metrics import MetricSuite
from fusionseg.runs.csv_logger import MetricsLogger
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_logger import log_tables, runs
from fusionseg.sample import Sample

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "segmentation-models-pytorch",
    "numpy",
    "opencv-python-headless",
)


class RunRecord(Callback):
    """Keeps `config.yaml` and `summary.json` in the run folder, and ends with a table of the metrics.

    Args:
        monitor: The validation figure that the best epoch has the highest of; of equal ones the lowest loss.
        config: The complete configuration as YAML; made from the hyperparameters where left out.
    """

    def __init__(self, monitor: str = "val/score", config: str | None = None) -> None:
        self.monitor = monitor
        self.config = config
        self.best: Json = {}
        self.images = 0
        self.seconds = 0.0
        self.since = 0.0
        self.spent = 0.0
        self.metrics: dict[str, float] = {}
        self.resumed = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.start = time.time()
        if stage != "fit" or not trainer.is_global_zero:
            return
        self.run = RunFolder(trainer.default_root_dir)
        config = self.config or yaml.safe_dump(_configuration(trainer, pl_module), sort_keys=False)
        write_text(self.run.config, config)
        self.facts = {**_seed(), **_machine(trainer, pl_module), **_commit()}
        for run in runs(trainer.loggers):
            classes = getattr(pl_module, "classes", None)
            run.config.update(
                {**yaml.safe_load(config), **self.facts, "classes": list(classes.names) if classes else None}
            )
            self.facts["wandb"] = {"id": run.id, "project": run.project}
        self._write("running", {})

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: Checkpoint
    ) -> None:
        tables = [logger for logger in trainer.loggers if isinstance(logger, MetricsLogger)]
        for table in tables:
            table.save()
        checkpoint["record"] = {
            "best": self.best,
            "images": self.images,
            "seconds": self.seconds + self._running(),
            "spent": self.spent + time.time() - self.start,
            "metrics": self.metrics,
            "rows": [len(table.rows) for table in tables],
            "ranks": trainer.world_size,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: Checkpoint
    ) -> None:
        if not (known := checkpoint.get("record")) or trainer.state.fn != "fit":
            return
        self.best = known["best"]
        self.images = known["images"]
        self.seconds = known["seconds"]
        self.spent = known["spent"]
        self.metrics = known["metrics"]
        self.resumed = True
        tables = (logger for logger in trainer.loggers if isinstance(logger, MetricsLogger))
        for table, rows in zip(tables, known["rows"], strict=False):
            table.keep(rows)
        if known["ranks"] != trainer.world_size and trainer.is_global_zero:
            print(
                f"resumed on {trainer.world_size} ranks instead of {known['ranks']}: the images of each "
                "step are the same; dropout, and the share of a batch that BatchNorm sees on each rank, "
                "are not",
                file=sys.stderr,
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = time.perf_counter()
        if self.resumed and any(
            isinstance(c, EarlyStopping) and c.stopped_epoch for c in _callbacks(trainer)
        ):
            trainer.should_stop = True  # which Lightning forgets
        # not earlier, so that what keeps a training from starting is all that is said then
        for notice in (getattr(speaker, "notice", "") for speaker in (trainer, pl_module, *trainer.loggers)):
            if notice and trainer.is_global_zero:
                print(notice, file=sys.stderr)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Sample, *_: object
    ) -> None:
        self.images += len(batch["image"]) * trainer.world_size

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = time.perf_counter()
        metrics = _validated(trainer)
        if trainer.sanity_checking or self.monitor not in metrics:
            return
        self.metrics = metrics
        if better(metrics, self.best.get("metrics", {}), self.monitor):
            self.best = {"epoch": trainer.current_epoch, "metrics": metrics}
        # after each validation, because W&B's own summary is always the last value
        for run in runs(trainer.loggers) if trainer.is_global_zero else ():
            run.summary.update({**self.best.get("metrics", {}), "best/epoch": self.best.get("epoch")})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause()

    def _pause(self) -> None:
        """Stops the clock of training, if it runs."""
        self.seconds += self._running()
        self.since = 0.0

    def _running(self) -> float:
        return time.perf_counter() - self.since if self.since else 0.0

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = _validated(trainer) or self.metrics
        self._write("finished", metrics)
        suite = getattr(pl_module, "suite", None)
        classes = getattr(pl_module, "classes", None)
        if isinstance(suite, MetricSuite) and classes and (per_class := suite.per_class()):
            epoch = trainer.current_epoch - 1  # Lightning has counted on
            log_tables(trainer.loggers, "val", classes, per_class, epoch)
        self._show(metrics)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero and trainer.state.fn == "fit" and hasattr(self, "facts"):
            self._pause()
            status = (
                "interrupted" if isinstance(exception, KeyboardInterrupt | SystemExit | Stopped) else "failed"
            )
            self._write(status, _validated(trainer) or self.metrics)

    def _write(self, status: str, metrics: dict[str, float]) -> None:
        rate = self.images / self.seconds if self.seconds else None
        kept = self.run.best.relative_to(self.run.path).as_posix()
        best = {**self.best, "checkpoint": kept if self.run.best.is_file() else None} if self.best else {}
        summary = {"status": status, "metrics": metrics, "best": best, **self.facts}
        seconds = self.spent + time.time() - self.start
        write_json(self.run.summary, {**summary, "seconds": seconds, "images_per_second": rate})

    def _show(self, metrics: dict[str, float]) -> None:
        best = self.best.get("metrics", {})
        number = self.best["epoch"] + 1 if self.best else "-"  # people count from 1
        table = Table(title=f"best (epoch {number}) and last")
        for column in ("metric", "best", "last"):
            table.add_column(column, justify="left" if column == "metric" else "right")
        for name, value in metrics.items():
            table.add_row(name, f"{best[name]:.4f}" if name in best else "", f"{value:.4f}")
        Console(width=80, highlight=False).print(table)
        if panels := self.run.panels():
            print(f"pictures: {panels[-1]}")


def _callbacks(trainer: Any) -> list[Callback]:
    return list(trainer.callbacks)


def _validated(trainer: Trainer) -> dict[str, float]:
    return {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("val/")}


def _configuration(trainer: Any, module: LightningModule) -> Json:
    """The configuration of a run that a Python script started, as the command line would write it."""
    seed = _seed()["seed"]
    parts: Json = {"seed_everything": False if seed is None else seed}
    for key, part in (("model", module), ("data", trainer.datamodule)):
        parts[key] = None
        if part is not None:
            own = {k: plain(v) for k, v in part.hparams.items() if k not in ("_instantiator", "classes")}
            parts[key] = {"class_path": import_path(type(part)), "init_args": own}
    names = ("precision", "max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val")
    return {**parts, "trainer": {name: getattr(trainer, name) for name in names}}


def _seed() -> Json:
    seed = os.environ.get("PL_GLOBAL_SEED")
    return {"seed": None if seed is None else int(seed)}


def _machine(trainer: Trainer, module: LightningModule) -> Json:
    device = trainer.strategy.root_device
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        import torch

        name = torch.cuda.get_device_name(device)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "precision": str(trainer.precision),
        "devices": {"kind": device.type, "name": name, "count": trainer.world_size},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
    }


def _commit() -> Json:
    """The commit that the code is at and whether it was changed since; nothing where it is not a checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
