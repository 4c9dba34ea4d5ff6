"""Adam for one number per task, which leaves inactive tasks alone."""

import math

import torch
from torch import Tensor, nn


class TaskAdam(nn.Module):
    """One learned number per task, updated by Adam (arXiv:1412.6980, algorithm 1) if the task is active.

    An optimizer of torch would keep moving the number of a task without labels by its momentum. The betas are
    0.9 and 0.999, epsilon is 1e-8.

    Args:
        start: Initial values (T,).
        lr: Learning rate.
        weight_decay: L2 penalty: this factor times the number is added to its gradient.

    Raises:
        ValueError: If the learning rate or the weight decay is negative or infinite.
    """

    value: Tensor
    """The numbers (T,)."""
    mean: Tensor
    """Moving averages of the gradients (T,)."""
    square: Tensor
    """Moving averages of the squared gradients (T,)."""
    steps: Tensor
    """Number of steps in which each task was active (T,)."""

    def __init__(self, start: Tensor, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        for name, number in (("lr", lr), ("weight_decay", weight_decay)):
            if not 0 <= number < math.inf:
                raise ValueError(f"expected {name} of 0 or more, found {number}")
        self.lr = lr
        self.weight_decay = weight_decay
        self.register_buffer("value", start.clone())
        self.register_buffer("mean", torch.zeros_like(start))
        self.register_buffer("square", torch.zeros_like(start))
        self.register_buffer("steps", torch.zeros_like(start))

    def step(self, gradient: Tensor, active: Tensor) -> None:
        """Makes one step of Adam.

        Args:
            gradient: The gradient of each number (T,).
            active: Which numbers are updated (T,), bool.
        """
        gradient = gradient + self.weight_decay * self.value
        steps = self.steps + 1
        mean = 0.9 * self.mean + 0.1 * gradient
        square = 0.999 * self.square + 0.001 * gradient**2
        rate = self.lr / (1 - 0.9**steps)
        value = self.value - rate * mean / ((square / (1 - 0.999**steps)).sqrt() + 1e-8)
        self.value.copy_(torch.where(active, value, self.value))
        self.mean.copy_(torch.where(active, mean, self.mean))
        self.square.copy_(torch.where(active, square, self.square))
        self.steps.copy_(torch.where(active, steps, self.steps))
