"""Trained models back from their run folders and checkpoints."""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from fusionseg.module import FusionModule
from fusionseg.recipe import check_called
from fusionseg.usage import UsageError, mapping, usage_error
from fusionseg.weights import WeightsError, broken, is_state, reason, unpickled


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
        content = unpickled(checkpoint)
    except Exception as error:
        raise WeightsError(
            f"{checkpoint}: not a complete checkpoint, or one that holds code: {reason(error)}"
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise WeightsError(f"{checkpoint}: expected a checkpoint with a state_dict; is it a file of weights only?")
    if not is_state(content["state_dict"]):
        raise WeightsError(f"{checkpoint}: expected names and dense tensors in its state_dict")
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):
        if not isinstance(content.get(key, {}), Mapping):
            raise WeightsError(f"{checkpoint}: expected names and values in {key}, found {content[key]!r}")
    return content


def load_state(model: LightningModule, checkpoint: Path) -> None:
    """Puts a checkpoint's weights into a model of the same architecture and number of classes.

    Raises:
        WeightsError: If it is another architecture, or holds NaN; the message names the first differences.
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
    _check_finite(model, checkpoint)


def restored(checkpoint: Path, run: Path | None = None) -> tuple[LightningModule, dict[str, Any]]:
    """The model of a checkpoint and what the checkpoint says about its data; no data set is needed.

    Args:
        checkpoint: The file.
        run: The run folder, which knows the class of the model where it is not ours.

    Raises:
        UsageError: If the run folder names no model.
        WeightsError: If what the checkpoint holds makes none.
    """
    model_class: Any = FusionModule if run is None else _model_class(configuration(run))
    content = opened(checkpoint)
    given = content.get("hyper_parameters", {})
    if model_class is FusionModule and "classes" not in given:
        raise WeightsError(f"{checkpoint}: not of a FusionModule; name the run folder instead (--run)")
    try:
        check_called(given)
        model: LightningModule = model_class.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # nobody lists what constructors say to hyperparameters that may be anything
        told = " ".join(str(usage_error(str(error), error, (), ())).split())[:300] or type(error).__name__
        raise WeightsError(f"{checkpoint}: what it holds makes no {model_class.__name__}: {told}") from error
    _check_finite(model, checkpoint)
    return model.eval(), content.get("datamodule_hyper_parameters", {})


def _model_class(config: Path) -> Any:
    """The class of the model that a configuration names."""
    model = mapping(config).get("model")
    path = model.get("class_path") if isinstance(model, dict) else None
    module, _, name = str(path).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"expected a class, found {path!r} (in {config})", "model.class_path") from error
    if not (inspect.isclass(found) and issubclass(found, LightningModule)):
        raise UsageError(f"expected a LightningModule, found {path!r} (in {config})", "model.class_path")
    return found


def _check_finite(model: LightningModule, checkpoint: Path) -> None:
    if wrong := broken(model):
        raise WeightsError(f"{checkpoint}: the weights hold NaN or infinity in {', '.join(wrong[:3])}: take another")
