"""Trained models back from their run folders and checkpoints."""

import importlib
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule

from fusionseg.module import FusionModule
from fusionseg.weights import WeightsError


def configuration(run: Path) -> Path:
    """The configuration file of a run folder.

    Raises:
        FileNotFoundError: If the folder holds no run.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{run}: expected a run folder with config.yaml in it; is it the right folder?")
    return path


def best(run: Path) -> Path:
    """The best checkpoint of a run folder.

    Raises:
        FileNotFoundError: If there is none (yet).
    """
    path = run / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; has the run finished its first validation?")
    return path


def opened(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint of Lightning's; nothing in it is executed.

    Raises:
        WeightsError: If it is missing, truncated or something else.
    """
    if not checkpoint.is_file():
        raise WeightsError(f"{checkpoint}: no such checkpoint")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise WeightsError(f"{checkpoint}: not a complete checkpoint, or one that holds code: {reason}") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise WeightsError(f"{checkpoint}: expected a checkpoint with a state_dict; is it a file of weights only?")
    return content


def load_state(model: LightningModule, checkpoint: Path) -> None:
    """Puts a checkpoint's weights into a model of the same architecture and number of classes.

    Raises:
        WeightsError: If it is another architecture; the message names the first differences.
    """
    state, own = opened(checkpoint)["state_dict"], model.state_dict()
    wrong = [f"{k} is missing" for k in own if k not in state] + [f"{k} is unknown" for k in state if k not in own]
    wrong += [
        f"{k} is {tuple(state[k].shape)} there and {tuple(own[k].shape)} here"
        for k in own
        if k in state and own[k].shape != state[k].shape
    ]
    if wrong:
        raise WeightsError(
            f"{checkpoint} is of another architecture or number of classes ({len(wrong)} differences): "
            + "; ".join(wrong[:3])
        )
    model.load_state_dict(state)


def restored(checkpoint: Path, run: Path | None = None) -> tuple[LightningModule, dict[str, Any]]:
    """The model of a checkpoint and what the checkpoint says about its data; no data set is needed.

    Args:
        checkpoint: The file.
        run: The run folder, which knows the class of the model where it is not ours.
    """
    model_class: Any = FusionModule
    if run is not None:
        path = yaml.safe_load(configuration(run).read_text())["model"]["class_path"]
        module, _, name = path.rpartition(".")
        model_class = getattr(importlib.import_module(module), name)
    content = opened(checkpoint)
    if model_class is FusionModule and "classes" not in content.get("hyper_parameters", {}):
        raise WeightsError(f"{checkpoint}: not of a FusionModule; name the run folder instead (--run)")
    model: LightningModule = model_class.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    return model.eval(), content.get("datamodule_hyper_parameters", {})
