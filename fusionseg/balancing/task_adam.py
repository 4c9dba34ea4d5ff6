"""Numbers of tasks that a balancer learns by itself."""

import math

import torch
from torch import Tensor, nn


class TaskAdam(nn.Module):
    """A number for each task that Adam (arXiv:1412.6980, algorithm 1) moves where the task is active, and nowhere else.

    An optimizer of torch would go on moving a task without labels by its momentum.

    Args:
        start: Where it starts (T,).
        lr: Learning rate.
        weight_decay: Factor of the number itself that is added to its gradient.
    """

    value: Tensor
    mean: Tensor
    square: Tensor
    steps: Tensor

    def __init__(self, start: Tensor, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        for name, number in (("lr", lr), ("weight_decay", weight_decay)):
            if not 0 <= number < math.inf:
                raise ValueError(f"expected {name} of 0 or more, found {number}")
        self.lr, self.weight_decay = lr, weight_decay
        for name in ("value", "mean", "square", "steps"):
            self.register_buffer(name, start.clone() if name == "value" else torch.zeros_like(start))

    def step(self, gradient: Tensor, active: Tensor) -> None:
        """Moves the numbers of the active tasks against their gradient (T,)."""
        gradient = gradient + self.weight_decay * self.value
        steps = self.steps + 1
        mean, square = 0.9 * self.mean + 0.1 * gradient, 0.999 * self.square + 0.001 * gradient**2
        rate = self.lr / (1 - 0.9**steps)
        value = self.value - rate * mean / ((square / (1 - 0.999**steps)).sqrt() + 1e-8)
        for old, new in ((self.value, value), (self.mean, mean), (self.square, square), (self.steps, steps)):
            old.copy_(torch.where(active, new, old))
