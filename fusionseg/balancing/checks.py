"""What a balancer has to show before a training."""

from copy import deepcopy

import torch
from torch import Tensor

from fusionseg.balancing.base import Balancer
from fusionseg.balancing.gradient import GradientBalancer


def check_weights(balancer: Balancer) -> None:
    """Tries a copy of a balancer on losses of 1 and gradients at angles of 90 and more degrees.

    Raises:
        ValueError: If it does not give each task a finite weight, or a negative one to a loss.
    """
    tasks, trial = balancer.tasks, deepcopy(balancer).cpu()
    active = torch.ones(tasks, dtype=torch.bool)
    with torch.random.fork_rng(devices=()):
        weights = trial.loss_weights(torch.ones(tasks), active)
        _check(balancer, "loss_weights", weights, "finite weights of 0 or more", weights >= 0)
        if isinstance(trial, GradientBalancer) and tasks > 1:
            for cosine in (0.0, -0.5 / (tasks - 1)):
                products = torch.full((tasks, tasks), cosine, dtype=torch.float64).fill_diagonal_(1.0)
                weights = trial.gradient_weights(products, active)
                _check(balancer, "gradient_weights", weights, "finite weights", weights.isfinite())


def _check(balancer: Balancer, method: str, weights: Tensor, wanted: str, fine: Tensor) -> None:
    if weights.shape != (balancer.tasks,) or not (fine & weights.isfinite()).all():
        raise ValueError(
            f"expected {balancer.tasks} {wanted} from {method} of {type(balancer).__name__}, found {weights.tolist()}: "
            "mend it, or choose another balancer"
        )
