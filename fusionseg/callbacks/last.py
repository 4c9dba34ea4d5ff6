"""Where training can go on from."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """The state after the last whole epoch, or where a single process was stopped."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # ranks save together, and the others may be waiting elsewhere
        if trainer.state.fn == "fit" and trainer.world_size == 1:
            super().on_exception(trainer, pl_module, exception)
