"""What is worth keeping."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override


class BestCheckpoint(ModelCheckpoint):
    """The state after the validation with the highest `val/score`, also of a run whose folder was moved.

    Args:
        folder: Where `best.ckpt` is.
    """

    def __init__(self, folder: Path) -> None:
        # after validation, for an epoch may end without one
        super().__init__(
            folder,
            filename="best",
            monitor="val/score",
            mode="max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return f"{self.dirpath}/{Path(path).name}" if path else path

        paths = {name: here(path) for name, path in state_dict.items() if name.endswith("_path")}
        models = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": models, "dirpath": self.dirpath})
