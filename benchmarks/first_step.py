"""A callback that writes down when the first step of a run was made."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

NAME = "first_step.txt"


class FirstStep(Callback):
    """Writes the time after the first step, in seconds since 1970, into the run folder."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Writes the time once."""
        path = Path(trainer.default_root_dir) / NAME
        if not path.exists():
            path.write_text(str(time.time()))
