"""What the LightningModule is composed of: objective, task gradients, evaluation, optimization."""

from fusionseg.engine.optimization import WarmupPoly

__all__ = ["WarmupPoly"]
