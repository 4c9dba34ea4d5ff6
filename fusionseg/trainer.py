"""Lightning's Trainer with the defaults of this project."""

import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger

from fusionseg.callbacks.pictures import Pictures
from fusionseg.callbacks.progress import FusionProgress
from fusionseg.callbacks.record import RunRecord
from fusionseg.quiet import quiet
from fusionseg.tracking import wandb_logger


class Trainer(pl.Trainer):
    """Lightning's Trainer: fast where the processor allows it, and with a run folder that holds all that came of it.

    The folder holds `config.yaml`, `metrics.csv`, `checkpoints/` (`best` by `val/score`, and `last`), `pictures/` and
    `summary.json`.

    Args:
        default_root_dir: The run folder; `runs/<time>-python` where left out.
        max_epochs: Passes over the training data.
        precision: As Lightning's. Where left out: bf16 autocast if the GPU or CPU computes in it, else fp32.
        logger: Further loggers beside CSV and W&B (see `WANDB_MODE`), or false for none at all.
        callbacks: Further callbacks.
        log_every_n_steps: The device is asked for losses so often.
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
        num_sanity_val_steps: int = 0,
        enable_model_summary: bool = False,
        use_distributed_sampler: bool = False,
        **kwargs: Any,
    ) -> None:
        folder = Path(default_root_dir or new_folder("python"))
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        self.claimed = False
        with quiet():
            super().__init__(
                default_root_dir=folder,
                max_epochs=max_epochs,
                precision=precision or fast_precision(kwargs.get("accelerator", "auto")),  # type: ignore[arg-type]
                logger=_loggers(folder, logger),
                callbacks=given + _callbacks(folder, kwargs),
                log_every_n_steps=log_every_n_steps,
                num_sanity_val_steps=num_sanity_val_steps,
                enable_model_summary=enable_model_summary,
                use_distributed_sampler=use_distributed_sampler,
                **kwargs,
            )

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """As Lightning's, into a folder without a run; nothing is left there if not one step is made.

        Raises:
            FileExistsError: If the folder holds a run, which is not continued.
            KeyboardInterrupt: After Ctrl-C, when all is written.
        """
        handler = signal.getsignal(signal.SIGINT)
        try:
            with quiet(), self._claim(continues=bool(kwargs.get("ckpt_path"))):
                super().fit(*args, **kwargs)
        except SystemExit as stop:
            if not isinstance(stop.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, handler)  # Lightning leaves it ignored
            raise KeyboardInterrupt from None

    @contextmanager
    def _claim(self, continues: bool) -> Iterator[None]:
        folder = Path(self.default_root_dir)
        if not self.claimed and not continues:
            check_unused(folder)
        self.claimed, fresh = True, not folder.exists()
        try:
            yield
        except BaseException:
            if fresh and not self.global_step and self.is_global_zero:
                shutil.rmtree(folder, ignore_errors=True)
            raise


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


def new_folder(experiment: str) -> Path:
    """A name for a new run folder that nothing has yet."""
    stem = f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{experiment}"
    names = (Path(stem if number == 1 else f"{stem}-{number}") for number in range(1, 1000))
    return next(path for path in names if not path.exists())


def fast_precision(accelerator: Any = "auto") -> str:
    """`bf16-mixed` where the processor computes in bf16, else `32-true`; says so in one line."""
    cuda = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
    if cuda:
        able, name = torch.cuda.is_bf16_supported(including_emulation=False), torch.cuda.get_device_name()
    else:
        able, name = accelerator in ("auto", "cpu") and _cpu_has_bf16(), "this CPU"
    chosen = "bf16-mixed" if able else "32-true"
    _say(f"precision {chosen}: {name} {'computes' if able else 'does not compute'} in bf16")
    return chosen


@rank_zero_only
def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _cpu_has_bf16() -> bool:
    checks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(check() for check in checks if check) and not torch.backends.mps.is_available()


def _loggers(folder: Path, given: Logger | Iterable[Logger] | bool | None) -> list[Logger] | bool:
    if given is False:
        return False
    more = [] if given is None or given is True else [given] if isinstance(given, Logger) else list(given)
    tracked = rank_zero_only(wandb_logger)(folder, job_type="fit")
    return [CSVLogger(folder, name="", version=""), *([tracked] if tracked else []), *more]


def _callbacks(folder: Path, options: dict[str, Any]) -> list[Callback]:
    own: list[Callback] = [RunRecord(), Pictures()]
    if options.get("enable_progress_bar", True) is not False:
        own.append(FusionProgress())
    if options.get("enable_checkpointing", True) is not False:
        keep: dict[str, Any] = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
        # two rules, two callbacks: with save_last=True the last would be the last improvement
        own.append(ModelCheckpoint(filename="best", monitor="val/score", mode="max", **keep))
        own.append(ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **keep))
    return own
