"""What the LightningModule is composed of: objective, task gradients, evaluation, optimization."""
