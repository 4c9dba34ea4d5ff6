"""The losses of a step, once more after its update of the weights, for balancers that compare the two."""

from typing import Any

import torch
from torch import Tensor

from fusionseg.engine.objective import Objective
from fusionseg.engine.seeding import reseed


@torch.no_grad()
def losses_again(module: Any, objective: Objective) -> Tensor:
    """The weighted losses of the last batch (T,) after the step, with the dropout of the step.

    Args:
        module: The LightningModule, in training.
        objective: Its objective, which kept the batch.
    """
    step = objective.current
    assert step.batch is not None
    reseed(module.device, *step.position, module.global_rank)
    with objective.network.kept_buffers(), module.trainer.precision_plugin.train_step_context():
        return objective.weighted_losses(module(step.batch["image"]), step.batch, step.taught)
