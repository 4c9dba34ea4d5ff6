"""Weights & Biases: where runs are tracked, if they are."""

import netrc
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import cv2
import numpy as np
from lightning.pytorch.loggers import Logger, WandbLogger

from fusionseg.sample import Classes, Picture, Prediction, Truth

MODES = ("online", "offline", "disabled")


def mode(seconds: float = 3.0) -> str:
    """Where to track: as `WANDB_MODE` says, else online if there are credentials and the server answers in time.

    Says in one line why it is offline, and how to upload later.

    Raises:
        ValueError: If `WANDB_MODE` is not a mode.
    """
    chosen = os.environ.get("WANDB_MODE")
    if chosen:
        chosen = {"dryrun": "offline", "run": "online"}.get(chosen, chosen)
        if chosen not in MODES:
            raise ValueError(f"expected WANDB_MODE (--wandb) to be one of {', '.join(MODES)}, found {chosen!r}")
        return chosen
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
    reason = "" if _credentials(server) else "no credentials"
    if not reason and not _answers(server, seconds):
        reason = f"{server} does not answer"
    if reason:
        print(f"W&B: offline ({reason}); upload with `wandb sync --sync-all` in the run folder")
    return "offline" if reason else "online"


def _credentials(server: str) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlparse(server).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _answers(server: str, seconds: float) -> bool:
    try:
        with urllib.request.urlopen(server, timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, if not a kind one
    except (OSError, ValueError):
        return False


def wandb_logger(folder: Path, run_id: str | None = None, job_type: str | None = None) -> WandbLogger | None:
    """A logger into the run folder, or nothing where tracking is disabled; W&B's own variables set project and group.

    Args:
        folder: The run folder, whose name is the run's.
        run_id: The run to continue.
        job_type: What kind of work it is, unless `WANDB_JOB_TYPE` says.
    """
    chosen = mode()
    if chosen == "disabled":
        return None
    import wandb

    os.environ["WANDB_MODE"] = chosen
    return WandbLogger(
        name=folder.name,
        save_dir=folder,
        project=os.environ.get("WANDB_PROJECT", "fusionseg"),
        id=run_id,
        resume="allow",
        offline=chosen == "offline",
        job_type=os.environ.get("WANDB_JOB_TYPE", job_type),
        settings=wandb.Settings(silent=True, console="off", init_timeout=20),
    )


def runs(loggers: Iterable[Logger]) -> list[Any]:
    """The W&B runs among the loggers."""
    return [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]


def log_pictures(
    loggers: Iterable[Logger], key: str, seen: Sequence[tuple[Picture, Truth, Prediction]], classes: Classes, epoch: int
) -> None:
    """Shows images in W&B under masks that toggle: semantic, region and fused, truth and prediction."""
    for run in runs(loggers):
        import wandb

        images = [wandb.Image(pic, masks=_masks(pic, t, p, classes), caption=p.name) for pic, t, p in seen]
        run.log({key: images, "epoch": epoch})


def _masks(picture: Picture, truth: Truth, prediction: Prediction, classes: Classes) -> dict[str, Any]:
    maps = {
        "semantic truth": truth.semantic,
        "semantic prediction": prediction.semantic,
        "fused": prediction.fused,
        "region truth": _shades(truth.region),
        "region prediction": None if prediction.region is None else _shades(prediction.region),
    }
    names = dict(enumerate(classes.names))
    size = picture.shape[1::-1]
    return {
        name: {
            "mask_data": cv2.resize(labels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST),
            **({} if "region" in name else {"class_labels": names}),
        }
        for name, labels in maps.items()
        if labels is not None
    }


def _shades(region: Any) -> Any:
    """Region ids folded into a byte, 0 for void alone."""
    return np.where(region > 0, (region - 1) % 255 + 1, 0)


def log_tables(loggers: Iterable[Logger], stage: str, classes: Classes, per_class: dict[str, list[float]]) -> None:
    """A row for each class."""
    for run in runs(loggers):
        import wandb

        rows = [[name, *(values[i] for values in per_class.values())] for i, name in enumerate(classes.names)]
        run.log({f"{stage}/per_class": wandb.Table(columns=["class", *per_class], data=rows)})
