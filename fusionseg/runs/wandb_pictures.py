"""Shows images with masks, panels and other pictures in Weights & Biases."""

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from lightning.pytorch.loggers import Logger, WandbLogger

from fusionseg.runs.wandb_logger import runs
from fusionseg.sample import VOID, Array, Classes, IntMap, Picture, Prediction, Truth
from fusionseg.visualize.confusion import confusion_picture
from fusionseg.visualize.matching import matched


def log_pictures(
    loggers: Iterable[Logger],
    key: str,
    seen: Sequence[tuple[Picture, Truth, Prediction]],
    classes: Classes,
    epoch: int,
) -> None:
    """Shows images in W&B under masks that toggle: semantic, region and fused, truth and prediction.

    Predicted regions have the colors of the true ones that they match.

    All are extended to the right and bottom to one size, without which W&B shows them distorted.
    """
    size = tuple(np.max([picture.shape[:2] for picture, *_ in seen], axis=0))
    for run in _runs_without(loggers, epoch):
        import wandb

        images = [
            wandb.Image(_extended(picture, size), masks=_masks(picture, t, p, classes, size), caption=p.name)
            for picture, t, p in seen
        ]
        run.log({key: images, "epoch": epoch})


def log_panel(loggers: Iterable[Logger], key: str, picture: Picture, epoch: int) -> None:
    """Shows a panel of pictures in W&B, as of an epoch."""
    for run in _runs_without(loggers, epoch):
        import wandb

        run.log({key: wandb.Image(picture), "epoch": epoch})


def log_confusion(
    loggers: Iterable[Logger], stage: str, counts: Array | None, classes: Classes, epoch: int
) -> None:
    """Shows a confusion matrix (C, C) in W&B, as of an epoch; it is drawn only if both are there."""
    if counts is None:
        return
    for run in runs(loggers):
        import wandb

        picture = confusion_picture(counts, classes, f"Confusion matrix of {stage}, epoch {epoch}")
        run.log({f"{stage}/confusion": wandb.Image(picture), "epoch": epoch})


def log_picture(loggers: Iterable[Logger], key: str, picture: Picture, step: int) -> None:
    """Shows one picture in W&B, as of an optimizer step."""
    for run in runs(loggers):
        import wandb

        run.log({key: wandb.Image(picture), "trainer/global_step": step})


def _runs_without(loggers: Iterable[Logger], epoch: int) -> list[Any]:
    """The W&B runs that have no pictures of an epoch yet."""
    tracking = [logger for logger in loggers if isinstance(logger, WandbLogger)]
    return runs(logger for logger in tracking if getattr(logger, "seen_epoch", -1) < epoch)


def _extended(values: Array, size: tuple[int, int], filling: int = 0) -> Array:
    """Values (H, W, ...), extended to the right and bottom to a size (H, W)."""
    room = [(0, size[0] - values.shape[0]), (0, size[1] - values.shape[1])]
    return np.pad(values, [*room, *[(0, 0)] * (values.ndim - 2)], constant_values=filling)


def _masks(
    picture: Picture, truth: Truth, prediction: Prediction, classes: Classes, size: tuple[int, int]
) -> dict[str, Any]:
    region = prediction.get("region")
    maps = {
        "semantic truth": truth.semantic,
        "semantic prediction": prediction.get("semantic"),
        "fused": prediction.get("fused"),
        "region truth": _shades(truth.region),
        "region prediction": _shades(matched(region, truth.region)) if region is not None else None,
    }
    names = dict(enumerate(classes.names))
    shown = picture.shape[1::-1]
    masks: dict[str, dict[str, Any]] = {}
    for name, labels in maps.items():
        if labels is None:
            continue
        resized = cv2.resize(labels.astype(np.uint8), shown, interpolation=cv2.INTER_NEAREST)
        filling = 0 if "region" in name else VOID
        masks[name] = {"mask_data": _extended(resized, size, filling)}
        if "region" not in name:
            masks[name]["class_labels"] = names
    return masks


def _shades(region: IntMap) -> IntMap:
    """Region ids folded into a byte, 0 for void alone."""
    return np.where(region > 0, (region - 1) % 255 + 1, 0)
