"""Writes checkpoints atomically and reads them without executing code."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule

from fusionseg.files.atomic import replacing
from fusionseg.files.state_dicts import Checkpoint, WeightsError, check_weights, is_state, reason, unpickled
from fusionseg.runs.portable import portable


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically, and unpickles nothing but tensors and plain containers."""

    def save_checkpoint(
        self, checkpoint: Checkpoint, path: str | os.PathLike[str], *_: object, **__: object
    ) -> None:
        """Writes a checkpoint beside the old one, to the disk, and then in its place.

        Raises:
            UserError: If it holds what could not be read back.
            OSError: If it cannot be written, as on a full disk; the old one is as it was.
        """
        path = Path(path)
        checkpoint = portable(checkpoint)
        kept = "the one before it is whole" if path.is_file() else "there was none before"
        try:
            with replacing(path) as draft, draft.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # torch's writer hides the system's reason in a RuntimeError
            cause = error if isinstance(error, OSError) else error.__context__
            if cause is not None and not isinstance(cause, Exception):
                raise cause from None  # a second signal, which is no fault of the disk
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else error
            raise OSError(f"{path}: this checkpoint could not be written ({reason}); {kept}") from error

    def load_checkpoint(self, path: str | os.PathLike[str], *_: object, **__: object) -> Checkpoint:
        """The content of a checkpoint.

        Raises:
            WeightsError: If it is missing, truncated or something else, or holds code.
        """
        return opened(Path(path))


def opened(checkpoint: Path) -> Checkpoint:
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
        raise WeightsError(
            f"{checkpoint}: expected a checkpoint with a state_dict; is it a file of weights only?"
        )
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
    state = opened(checkpoint)["state_dict"]
    own = model.state_dict()
    wrong = [f"{k} is missing" for k in own if k not in state] + [
        f"{k} is unknown" for k in state if k not in own
    ]
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
    check_weights(model, checkpoint)
