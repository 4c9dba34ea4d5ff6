"""Ends a training with a validation, so that its last figures are those of its last step."""

from lightning.pytorch import Callback, LightningModule, Trainer


class FinalValidation(Callback):
    """Validates after the last step that `max_epochs` or `max_steps` allows, whatever is due there.

    Lightning validates in every n-th epoch alone (`check_val_every_n_epoch`), which the last one need not be.
    A training that `max_time` ends has no further validation.
    """

    def __init__(self) -> None:
        self.every: int | None = None
        """What `check_val_every_n_epoch` was at the start."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.every = trainer.check_val_every_n_epoch

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.check_val_every_n_epoch = self.every

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.should_stop:
            trainer.check_val_every_n_epoch = self.every

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        ends_epochs = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if ends_epochs or trainer.global_step == trainer.max_steps:
            trainer.should_stop = True  # wherever in an epoch that is
            trainer.check_val_every_n_epoch = 1
