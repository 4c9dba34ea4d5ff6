"""Records the configuration, the machine and the results of a run in its folder."""

import sys
import time
import traceback
from contextlib import suppress
from typing import Any

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from rich.console import Console
from rich.table import Table

from fusionseg.callbacks.checkpoints import better
from fusionseg.callbacks.signals import Stopped
from fusionseg.config.errors import UserError, in_own_code
from fusionseg.config.recipe import import_path, plain
from fusionseg.files.atomic import Json, write_json, write_text
from fusionseg.files.state_dicts import Checkpoint
from fusionseg.metrics import MetricSuite
from fusionseg.runs.csv_logger import MetricsLogger
from fusionseg.runs.environment import environment, peak_memory, seed_of_run
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_logger import RunLogger, log_tables, runs
from fusionseg.runs.wandb_pictures import log_confusion
from fusionseg.sample import Sample


class RunRecord(Callback):
    """Keeps `config.yaml` and `summary.json` in the run folder, and ends with a table of the metrics.

    Args:
        monitor: The validation figure that the best epoch is best in; of equal ones that of the lowest loss.
        config: The complete configuration as YAML; made from the hyperparameters where left out.
    """

    def __init__(self, monitor: str = "val/score", config: str | None = None) -> None:
        self.monitor = monitor
        self.config = config
        self.best: Json = {}
        self.images = 0
        self.steps = 0
        self.seconds = 0.0
        self.since = 0.0
        self.spent = 0.0
        self.metrics: dict[str, float] = {}
        self.rows: list[int] = []
        self.weights: str | None = None
        """Where the weights come from, if the run begins with some."""
        self.resumed = False
        self.begun = False
        """Whether a batch was asked for: what was raised before kept the training from starting."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.start = time.monotonic()
        self.begun = False
        if stage != "fit":
            return
        self.resumed = False
        self.rows = []
        # ranks that a program started one by one may have chosen folders of other names
        self.run = RunFolder(trainer.strategy.broadcast(trainer.default_root_dir))
        self.written = self.config or yaml.safe_dump(_configuration(trainer, pl_module), sort_keys=False)
        self.facts = environment(trainer, pl_module) | ({"weights": self.weights} if self.weights else {})
        for run in runs(trainer.loggers) if trainer.is_global_zero else ():
            self.facts["wandb"] = {"id": run.id, "project": run.project}

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the first files; not earlier, so that a start or resume that is refused changes nothing."""
        if self.begun:
            return
        self.begun = True
        tables = [logger for logger in trainer.loggers if isinstance(logger, MetricsLogger)]
        for table, rows in zip(tables, self.rows, strict=False):
            repeated = table.keep(rows) or ()
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.skip(repeated)
        if not trainer.is_global_zero:
            return
        for path in self.run.tracebacks():
            path.unlink()
        write_text(self.run.config, self.written)
        classes = getattr(pl_module, "classes", None)
        known = {**self.facts, "classes": list(classes.names) if classes else None}
        for run in runs(trainer.loggers):
            run.config.update({**yaml.safe_load(self.written), **known})
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
            "spent": self.spent + time.monotonic() - self.start,
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
        self.rows = known["rows"]
        if known["ranks"] != trainer.world_size and trainer.is_global_zero:
            print(
                f"resumed on {trainer.world_size} ranks instead of {known['ranks']}: the images of each "
                "step are the same; dropout, and the share of a batch that BatchNorm sees on each rank, "
                "are not",
                file=sys.stderr,
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, pl_module)
        self.since = time.perf_counter()
        if self.resumed and any(
            isinstance(c, EarlyStopping) and c.stopped_epoch
            for c in trainer.callbacks  # type: ignore[attr-defined]
        ):
            trainer.should_stop = True  # which Lightning forgets
        # not earlier, so that what keeps a training from starting is all that is said then
        for notice in (getattr(speaker, "notice", "") for speaker in (trainer, pl_module, *trainer.loggers)):
            # a fast_dev_run's logger has functions of all names
            if isinstance(notice, str) and notice and trainer.is_global_zero:
                print(notice, file=sys.stderr)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Sample, *_: object
    ) -> None:
        self.images += len(batch["image"]) * trainer.world_size
        self.steps = trainer.global_step

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
            log_confusion(trainer.loggers, "val", suite.confusion(), classes, epoch)
        self._show(metrics)
        if not metrics:
            print(
                "there is no best.ckpt, because no validation was due (trainer.limit_val_batches, max_time)",
                file=sys.stderr,
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.state.fn != "fit":
            return
        asked = isinstance(exception, KeyboardInterrupt | SystemExit | Stopped)
        if trainer.is_global_zero and self.begun:
            self._pause()
            self._write("interrupted" if asked else "failed", _validated(trainer) or self.metrics)
        # of a step that was never made, the user's own mistake leaves nothing
        begun = self.begun or in_own_code(exception)
        mistakes = UserError if begun else (ValueError, OSError, MisconfigurationException)
        if not asked and (trainer.global_step or not isinstance(exception, mistakes)):
            path = RunFolder(trainer.default_root_dir).traceback_of(trainer.global_rank)
            with suppress(OSError):  # of a full disk, for example, which is the reason itself
                write_text(path, "".join(traceback.format_exception(exception)))
                exception.add_note(f"(this traceback is in {path})")

    def _write(self, status: str, metrics: dict[str, float]) -> None:
        rate = self.images / self.seconds if self.seconds else None
        kept = self.run.best.relative_to(self.run.path).as_posix()
        best = {**self.best, "checkpoint": kept if self.run.best.is_file() else None} if self.best else {}
        summary = {"status": status, "metrics": metrics, "best": best, **self.facts}
        seconds = self.spent + time.monotonic() - self.start
        per_step = self.seconds / self.steps if self.steps else None
        cost = {"seconds": seconds, "seconds_per_step": per_step, "images_per_second": rate}
        write_json(self.run.summary, {**summary, **cost, "peak_memory": peak_memory()})

    def _show(self, metrics: dict[str, float]) -> None:
        best = self.best.get("metrics", {})
        number = self.best["epoch"] + 1 if self.best else "-"  # people count from 1
        table = Table(title=f"best (epoch {number}) and last")
        for column in ("metric", "best", "last"):
            table.add_column(column, justify="left" if column == "metric" else "right")
        for name, value in metrics.items():
            table.add_row(name, f"{best[name]:.4f}" if name in best else "", f"{value:.4f}")
        Console(width=80, highlight=False).print(table)


def _validated(trainer: Trainer) -> dict[str, float]:
    return {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("val/")}


def _configuration(trainer: Any, module: LightningModule) -> Json:
    """The configuration of a run that a Python script started, as the command line would write it."""
    seed = seed_of_run()
    parts: Json = {"seed_everything": False if seed is None else seed}
    for key, part in (("model", module), ("data", trainer.datamodule)):
        parts[key] = None
        if part is not None:
            own = {k: plain(v) for k, v in part.hparams.items() if k not in ("_instantiator", "classes")}
            parts[key] = {"class_path": import_path(type(part)), "init_args": own}
    names = ("precision", "max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val")
    return {**parts, "trainer": {name: getattr(trainer, name) for name in names}}
