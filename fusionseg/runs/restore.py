"""Trained models back from their run folders and checkpoints."""

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from huggingface_hub.constants import CONFIG_NAME
from lightning.pytorch import LightningModule

from fusionseg.config.errors import UsageError, mapping
from fusionseg.config.recipe import import_path
from fusionseg.config.trust import check_named, imported, untrusted
from fusionseg.engine.hub_config import HubConfig, preprocessing
from fusionseg.files.state_dicts import WeightsError, check_weights, unusable
from fusionseg.module import FusionModule
from fusionseg.networks.backbone import RECORDED
from fusionseg.networks.pretrained import load_whole
from fusionseg.runs.checkpoints import opened
from fusionseg.runs.folder import RunFolder


def restored(
    checkpoint: Path, run: Path | None = None, trust: Iterable[str] = ()
) -> tuple[LightningModule, dict[str, Any]]:
    """The model of a checkpoint and what the checkpoint says about its data; no data set is needed.

    Args:
        checkpoint: The file. It may be anybody's: only classes of trusted packages are built.
        run: The run folder, which knows the class of the model where it is not ours.
        trust: Packages to trust beside those of `fusionseg.config.trust`.

    Raises:
        UsageError: If the run folder names no model.
        WeightsError: If what the checkpoint holds makes none.
    """
    with untrusted(trust):
        model_class: Any = FusionModule if run is None else _model_class(RunFolder(run).configuration())
        content = opened(checkpoint)
        given = content.get("hyper_parameters", {})
        if model_class is FusionModule and not {"classes", "alpha"} <= given.keys():
            raise WeightsError(f"{checkpoint}: not of a FusionModule; name the run folder instead (--run)")
        own = {name: value for name, value in given.items() if not name.startswith("_")}
        with unusable(checkpoint, model_class.__name__):
            check_named(LightningModule, {"class_path": import_path(model_class), "init_args": own})
            model: LightningModule = model_class.load_from_checkpoint(
                checkpoint, map_location="cpu", weights_only=True
            )
    check_weights(model, checkpoint)
    return model.eval(), preprocessing(content)


def start_from(model: LightningModule, weights: Path) -> None:
    """Starts a model from a run's best checkpoint, a saved folder, or another model (see `load_whole`).

    Raises:
        WeightsError: If there are no weights, or none that fit.
    """
    best = RunFolder(weights).best
    source = best if best.is_file() else weights
    try:
        recorded = _backbone(stored_arguments(source))
    except WeightsError:  # not of ours
        recorded = {}
    load_whole(model, source, recorded)


def stored_arguments(source: Path) -> dict[str, Any]:
    """The arguments of the model in a checkpoint or a folder of `save_pretrained`.

    Raises:
        WeightsError: If it is neither.
    """
    if (source / CONFIG_NAME).is_file():
        return HubConfig.read(source / CONFIG_NAME).init_args
    return dict(opened(source).get("hyper_parameters", {}))


def _backbone(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the backbone among those of a model; empty if there are none."""
    backbone = given.get("backbone")
    return backbone if isinstance(backbone, dict) else {}


def arguments(run: RunFolder, which: Literal["best", "last"] = "best") -> list[str]:
    """The arguments that give a command line a run's configuration, and what only its checkpoint knows.

    The weights that the run began with are left out, as their file or server may be gone by now.

    Raises:
        FileNotFoundError: If the folder holds no run.
        WeightsError: If it holds no checkpoint.
    """
    config = run.configuration()
    known = _backbone(stored_arguments(run.checkpoint(which)))
    kept = [key for key in RECORDED if key in known]
    return ["--config", str(config), *(f"--model.backbone.{key}={json.dumps(known[key])}" for key in kept)]


def _model_class(config: Path) -> Any:
    """The class of the model that a configuration names."""
    model = mapping(config).get("model")
    path = model.get("class_path") if isinstance(model, dict) else None
    try:
        found = imported(str(path))
    except UsageError as error:
        raise UsageError(f"{error.reason} (in {config})", "model.class_path") from error
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"expected a class, found {path!r} (in {config})", "model.class_path") from error
    if not (inspect.isclass(found) and issubclass(found, LightningModule)):
        raise UsageError(f"expected a LightningModule, found {path!r} (in {config})", "model.class_path")
    return found
