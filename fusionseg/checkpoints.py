"""How checkpoints get onto the disk and back."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from fusionseg.files import replacing
from fusionseg.restore import opened


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there, and from which nothing is unpickled but tensors and plain containers."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], *_: Any, **__: Any) -> None:
        """Writes a checkpoint beside the old one, to the disk, and then in its place.

        Raises:
            OSError: If it cannot be written, as on a full disk; the old one is as it was.
        """
        path = Path(path)
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

    def load_checkpoint(self, path: str | os.PathLike[str], *_: Any, **__: Any) -> dict[str, Any]:
        """The content of a checkpoint.

        Raises:
            WeightsError: If it is missing, truncated or something else, or holds code.
        """
        return opened(Path(path))
