"""The parts of the LightningModule: objective, task gradients, evaluation, optimization."""

from fusionseg.engine.optimization import WarmupPoly

__all__ = ["WarmupPoly"]
