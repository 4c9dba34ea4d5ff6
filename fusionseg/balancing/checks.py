"""Checks a balancer on simple losses and gradients before the training starts."""

from copy import deepcopy

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.gradient import GradientBalancer


def check_weights(balancer: Balancer) -> None:
    """Tries a copy of a balancer on losses of 1 and unit gradients at angles of 90 degrees and more.

    Raises:
        ValueError: If it does not give every task a finite weight, or gives a loss a negative one.
    """
    tasks = balancer.tasks
    trial = deepcopy(balancer).cpu()
    active = torch.ones(tasks, dtype=torch.bool)
    with torch.random.fork_rng(devices=()):
        weights = trial.loss_weights(torch.ones(tasks), active)
        _check(balancer, "loss_weights", weights, "finite weights of 0 or more", weights >= 0)
        if isinstance(trial, GradientBalancer) and tasks > 1:
            for cosine in (0.0, -0.5 / (tasks - 1)):
                gramian = torch.full((tasks, tasks), cosine, dtype=torch.float64).fill_diagonal_(1.0)
                weights = trial.gradient_weights(gramian, active)
                _check(balancer, "gradient_weights", weights, "finite weights", weights.isfinite())


def _check(balancer: Balancer, method: str, weights: Tensor, expected: str, valid: Tensor) -> None:
    """Raises a ValueError if a method's weights are not (T,), finite and valid."""
    if weights.shape != (balancer.tasks,) or not (valid & weights.isfinite()).all():
        raise ValueError(
            f"expected {balancer.tasks} {expected} from {method} of {type(balancer).__name__}, "
            f"found {weights.tolist()}: mend it, or choose another balancer"
        )
