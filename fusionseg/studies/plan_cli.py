"""The command line of `fit` up to model and data: nothing is trained, and no run folder made."""

from typing import Any

from fusionseg.cli.fusion_cli import FusionCLI
from fusionseg.engine.precision import fast_precision


class PlanCLI(FusionCLI):
    """Parses the arguments of a run and builds its model and data once."""

    def before_instantiate_classes(self) -> None:
        if self.config.trainer.precision is None:
            self.config.trainer.precision = fast_precision(self.config.trainer.accelerator)
        self.original = self.config.clone()

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        return None

    def manual(self) -> str:
        return ""
