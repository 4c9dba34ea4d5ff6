"""Lightning's Trainer with the defaults of this project."""

import signal
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities import rank_zero_only
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import LayerSync, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from torch.distributed import DistError

from fusionseg.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from fusionseg.callbacks.feature_cache import FeatureCache
from fusionseg.callbacks.final_validation import FinalValidation
from fusionseg.callbacks.fitting import check_callbacks, check_monitor
from fusionseg.callbacks.idle_hooks import skip_idle_hooks
from fusionseg.callbacks.label_check import LabelCheck
from fusionseg.callbacks.learning_curves import LearningCurves
from fusionseg.callbacks.pictures import Pictures
from fusionseg.callbacks.progress import FusionProgress
from fusionseg.callbacks.record import RunRecord
from fusionseg.callbacks.signals import Signals, Stopped
from fusionseg.callbacks.teacher_loader import TeacherLoader
from fusionseg.callbacks.training_files import TrainingFiles
from fusionseg.config.errors import in_own_code, mendable
from fusionseg.config.lightning_messages import quiet
from fusionseg.engine.plan import check_launcher, check_plan
from fusionseg.engine.precision import fast_precision, precision_notice
from fusionseg.engine.sync_batch_norm import BatchNormSync
from fusionseg.runs.checkpoints import AtomicCheckpointIO
from fusionseg.runs.csv_logger import MetricsLogger
from fusionseg.runs.folder import RunFolder
from fusionseg.runs.wandb_logger import wandb_logger


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, as Lightning's default, but in a tenth of the time for each hook of each callback."""

    context: AbstractContextManager[Any] = nullcontext()

    def profile(self, action_name: str) -> Any:
        """A context that does nothing."""
        return self.context


class Trainer(pl.Trainer):
    """Lightning's Trainer with a run folder for all results, and bf16 where the processor computes in it.

    The folder holds `config.yaml`, `metrics.csv`, `checkpoints/` (`best` by `monitor`, and `last`),
    `pictures/`, `curves.png` and `summary.json`.

    Args:
        default_root_dir: The run folder; `runs/<time>-python` where left out.
        max_epochs: Passes over the training data.
        precision: As Lightning's. Where left out: bf16 autocast if the GPU or CPU computes in it, else fp32.
        logger: Further loggers beside CSV and W&B (see `WANDB_MODE`), or false for none at all.
        callbacks: Further callbacks.
        log_every_n_steps: The device is asked for losses so often.
        save_every_n_minutes: `last` is written after each epoch, and within one if it is older than this.
        monitor: The validation figure that decides what is best. Of losses and errors the lowest one is.
        num_sanity_val_steps: Batches of validation before training.
        enable_model_summary: Print the model's parts and sizes.
        sync_batchnorm: Let BatchNorm see the images of all ranks; by default if a rank has fewer than 8.
        use_distributed_sampler: Not needed: the data divide images among ranks.
        kwargs: As Lightning's.
    """

    def __init__(
        self,
        *,
        default_root_dir: str | Path | None = None,
        max_epochs: int | None = 10,
        precision: str | int | None = None,
        logger: Logger | Iterable[Logger] | bool | None = None,
        callbacks: list[Callback] | Callback | None = None,
        log_every_n_steps: int = 50,
        save_every_n_minutes: float = 5.0,
        monitor: str = "val/score",
        num_sanity_val_steps: int = 0,
        enable_model_summary: bool = False,
        sync_batchnorm: bool | None = None,
        use_distributed_sampler: bool = False,
        **kwargs: Any,
    ) -> None:
        check_plan(max_epochs, **kwargs)
        self.run = RunFolder(default_root_dir) if default_root_dir else RunFolder.new("python")
        weakref.finalize(self, self.run.release)
        self.monitor = monitor
        self.record = RunRecord(monitor)
        given = _several(callbacks)
        if kwargs.get("profiler") is None:
            kwargs["profiler"] = NoProfiler()
        plugins = _plugins(kwargs.pop("plugins", None), sync_batchnorm)
        self.started = False
        self.chosen = ""
        if precision is None and not any(isinstance(plugin, Precision) for plugin in plugins):
            precision = fast_precision(kwargs.get("accelerator", "auto"))
            self.chosen = precision
        with quiet(), self._released_on_error():
            super().__init__(
                default_root_dir=self.run.path,
                max_epochs=max_epochs,
                precision=precision,  # type: ignore[arg-type]
                logger=_loggers(self.run, logger),
                callbacks=[
                    self.record,
                    *_callbacks(self.run, given, save_every_n_minutes, monitor, kwargs),
                ],
                log_every_n_steps=log_every_n_steps,
                num_sanity_val_steps=num_sanity_val_steps,
                enable_model_summary=enable_model_summary,
                use_distributed_sampler=use_distributed_sampler,
                plugins=plugins,
                **kwargs,
            )
            check_launcher(self.strategy.launcher)

    @property
    def notice(self) -> str:
        """A line that reports the precision that was chosen, with the memory format; else empty."""
        return precision_notice(self.chosen, self.lightning_module) if self.chosen else ""

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's, into a folder without a run.

        If not one step is made, nothing is left there but the traceback of an error in the first batch.

        With `ckpt_path`, such as the run's `checkpoints/last.ckpt`, the run goes on to the last bit as if it
        had never been stopped.

        Raises:
            FileExistsError: If the folder holds a run, which is not continued.
            KeyboardInterrupt: After Ctrl-C, when all is written.
            SystemExit: After another signal, with the code 128 + its number.
            UserError: What keeps the training from its first batch.
            ChildProcessError: If a process that prepares batches died.
            ConnectionError: If another rank did.
        """
        handler = signal.getsignal(signal.SIGINT)
        try:
            with quiet(), self._claim(resume=bool(kwargs.get("ckpt_path"))):
                model = args[0] if args else kwargs.get("model")
                check_callbacks(self.callbacks, model)  # type: ignore[attr-defined]
                check_monitor(self.monitor, model)
                skip_idle_hooks(self.callbacks)  # type: ignore[attr-defined]
                super().fit(*args, **kwargs)
        except Stopped as stop:
            if stop.signum == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + stop.signum) from None
        except SystemExit as stop:
            if not isinstance(stop.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, handler)  # Lightning leaves it ignored
            raise KeyboardInterrupt from None
        except (ValueError, MisconfigurationException) as error:
            if self.record.begun or in_own_code(error):
                raise
            with mendable(MisconfigurationException):
                raise error
        except RuntimeError as error:
            if lost := _of_lost_process(error, self.global_rank):
                raise lost from error
            raise

    @contextmanager
    def _claim(self, resume: bool) -> Iterator[None]:
        """Holds the run folder, and leaves nothing there if training fails before its first step."""
        self.run.claim(resume or self.started)
        self.started = True
        try:
            yield
            if self.fast_dev_run:  # type: ignore[attr-defined]
                self.run.discard()
        except BaseException:
            if not self.global_step and not resume:
                self.run.discard()
            raise
        finally:
            self.run.release()

    @contextmanager
    def _released_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.run.release()
            raise


def _of_lost_process(error: RuntimeError, rank: int) -> OSError | None:
    """An error that says which process a training lost, another rank or a worker; None if it lost none."""
    if isinstance(error, DistError) or "gloo/transport" in str(error):
        return ConnectionError(
            f"rank {rank} lost another, which said why or was killed, as when memory runs out; the run "
            "can be resumed"
        )
    if str(error).startswith("DataLoader worker"):
        return ChildProcessError(
            f"a process that prepares batches died, as when memory runs out ({error}): lower data.workers or "
            "data.batch_size, or cache on disk; the run can be resumed"
        )
    return None


def _several(given: object) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [] if given is None else [given]


def _plugins(given: object, sync_batchnorm: bool | None) -> list[Any]:
    several = _several(given)
    synced = any(isinstance(plugin, LayerSync) for plugin in several)
    return [*several, AtomicCheckpointIO(), *([] if synced else [BatchNormSync(sync_batchnorm)])]


def _loggers(run: RunFolder, given: Logger | Iterable[Logger] | bool | None) -> list[Logger] | bool:
    if given is False:
        return False
    more = [] if given is None or given is True else [given] if isinstance(given, Logger) else list(given)
    tracked = rank_zero_only(wandb_logger)(run.path, run.wandb_id, job_type="fit")
    return [MetricsLogger(run.metrics), *([tracked] if tracked else []), *more]


def _callbacks(
    run: RunFolder, given: list[Callback], minutes: float, monitor: str, options: Mapping[str, object]
) -> list[Callback]:
    files = TrainingFiles()
    # a teacher adds to the model, of which given callbacks such as weight averaging make copies
    own: list[Callback] = [TeacherLoader(files), *given, LabelCheck(), files, FeatureCache()]
    own += [FinalValidation(), Pictures(), LearningCurves(), Signals()]
    shown = options.get("enable_progress_bar", True) is not False
    if shown and not any(isinstance(callback, ProgressBar) for callback in given):
        own.append(FusionProgress())
    if options.get("enable_checkpointing", True) is not False:
        own.append(BestCheckpoint(run.best, monitor))
        own.append(LastCheckpoint(run.last, minutes))
    return own
