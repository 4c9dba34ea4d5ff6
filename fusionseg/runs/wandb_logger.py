"""Weights & Biases: where runs are tracked, if they are."""

import netrc
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.fabric.utilities import rank_zero_only
from lightning.pytorch.loggers import Logger, WandbLogger

from fusionseg.config.errors import UserError
from fusionseg.sample import Classes

MODES = ("online", "offline", "disabled")

REMEDY = "mend that (`wandb login`), or choose --wandb offline"

PATIENCE = 8.0
"""Seconds that a server has to open a run before the run is offline."""

PATIENCE_IF_ASKED = 60.0
"""Seconds that it has where `WANDB_MODE` asks for it."""


def mode() -> tuple[str, str]:
    """Where to track, and why not online; no server is asked for that.

    That is as `WANDB_MODE` says, else online if there are credentials.

    Raises:
        UserError: If `WANDB_MODE` is not a mode, or is `online` and there are no credentials.
    """
    chosen = _asked()
    if chosen not in ("", *MODES):
        raise UserError(f"expected WANDB_MODE (--wandb) to be one of {', '.join(MODES)}, found {chosen!r}")
    if chosen == "disabled":
        return chosen, ""
    if chosen == "offline":
        return chosen, "as asked"
    if _credentials(_server()):
        return "online", ""
    if chosen == "online":
        raise UserError(f"W&B cannot be online: no credentials; {REMEDY}")
    return "offline", "no credentials"


def _asked() -> str:
    chosen = os.environ.get("WANDB_MODE", "")
    return {"dryrun": "offline", "run": "online"}.get(chosen, chosen)


def _server() -> str:
    """The address of the server that W&B would use."""
    import wandb

    return str(wandb.setup(wandb.Settings(silent=True)).settings.base_url)


def _credentials(server: str) -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    hosts = {urlparse(server).hostname or "", "api.wandb.ai"}
    for path in (os.environ.get("NETRC"), "~/.netrc", "~/_netrc"):
        try:
            if path and hosts & netrc.netrc(os.path.expanduser(path)).hosts.keys():
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


class RunLogger(WandbLogger):
    """W&B into a run folder: opened when first used, finished with the training.

    If the server refuses the run or does not answer, it is offline, or it is an error where `WANDB_MODE` asks
    for it.

    W&B's own variables (`WANDB_PROJECT`, `WANDB_RUN_GROUP`, `WANDB_JOB_TYPE`, `WANDB_TAGS` ...) are honored.

    Args:
        folder: The run folder, whose name is the run's.
        reason: Why not online, if so.
        run_id: The run to continue.
        job_type: What kind of work a new run is.
    """

    def __init__(
        self, folder: Path, reason: str, run_id: str | None = None, job_type: str | None = None
    ) -> None:
        project = os.environ.get("WANDB_PROJECT", "fusionseg")
        name = os.environ.get("WANDB_NAME", folder.name)
        super().__init__(name=name, save_dir=folder, project=project, id=run_id)
        self.folder, self.reason = folder, reason
        job_type = os.environ.get("WANDB_JOB_TYPE", job_type)
        self.options = {"project": project, "name": name, "dir": str(folder), "job_type": job_type}
        self.run_id = run_id
        self.repeated = 0
        """How many of the next rows were logged before the process died that this one goes on from."""
        self.seen_epoch = -1
        """The last epoch whose pictures were."""

    def skip(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Expects rows that are in the run already, because they were logged after the last checkpoint."""
        self.repeated = len(rows)
        validated = [row for row in rows if any(name.startswith("val/") for name in row)]
        self.seen_epoch = max((int(str(row["epoch"])) for row in validated), default=-1)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs a row, unless it is in the run already."""
        if self.repeated:
            self.repeated -= 1
        else:
            super().log_metrics(metrics, step)

    @property
    def notice(self) -> str:
        """One line about where the run is and how to upload it; nothing if it is online."""
        how = f"upload later with `wandb sync {self.folder}/wandb/offline-run-*`"
        return f"W&B: offline ({self.reason}); {how}" if self.reason else ""

    @property
    def experiment(self) -> Any:
        """The run, opened or continued where it is not.

        Raises:
            UserError: If the server cannot be had that `WANDB_MODE` asks for.
        """
        if self._experiment is None:
            import wandb

            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._experiment = self._opened()
            except wandb.errors.Error as error:
                if self.reason:
                    raise
                reason = str(error).splitlines()[0]
                if _asked() == "online":
                    raise UserError(f"W&B cannot be online: {reason}; {REMEDY}") from error
                self.reason = reason
                self._experiment = self._opened()
            self.run_id = self._experiment.id
        return self._experiment

    def _opened(self) -> Any:
        import wandb

        # W&B's reports of its own errors go to the same server, for whose answer the process would wait at
        # its end
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        seconds = PATIENCE_IF_ASKED if _asked() == "online" else PATIENCE
        settings = wandb.Settings(silent=True, console="off", init_timeout=seconds)
        wandb.setup(settings)  # or it warns before it reads its own settings
        options: dict[str, Any] = {**self.options, "mode": "offline" if self.reason else "online"}
        if self.run_id:
            options |= {"id": self.run_id, "resume": "allow"}
        run = wandb.init(**options, settings=settings)
        run.define_metric("trainer/global_step", hidden=True)
        run.define_metric("train/*", step_metric="trainer/global_step")
        run.define_metric("val/*", step_metric="epoch")
        run.define_metric("conflict/*", step_metric="trainer/global_step")
        return run

    def finalize(self, status: str) -> None:
        """Uploads or writes what there is; what is logged later continues the run."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None


def wandb_logger(folder: Path, run_id: str | None = None, job_type: str | None = None) -> RunLogger | None:
    """A logger into the run folder, or nothing where tracking is disabled."""
    chosen, reason = mode()
    return None if chosen == "disabled" else RunLogger(folder, reason, run_id, job_type)


def runs(loggers: Iterable[Logger]) -> list[Any]:
    """The W&B runs among the loggers."""
    return [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]


def log_tables(
    loggers: Iterable[Logger], stage: str, classes: Classes, per_class: dict[str, list[float]], epoch: int
) -> None:
    """A row for each class."""
    for run in runs(loggers):
        import wandb

        rows = [[name, *(values[i] for values in per_class.values())] for i, name in enumerate(classes.names)]
        run.log({f"{stage}/per_class": wandb.Table(columns=["class", *per_class], data=rows), "epoch": epoch})
