"""GradNorm: learned weights that equalize gradient norms and training rates."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from fusionseg.balancing.gradient import GradientBalancer
from fusionseg.balancing.task_adam import TaskAdam


class GradNorm(GradientBalancer):
    """GradNorm (Chen et al., ICML 2018, arXiv:1711.02257, algorithm 1).

    The weighted gradient of a task is pulled towards the mean norm times (r / mean r)^asymmetry, where r = L
    / L(0) is the task's loss relative to its first one. The weights add up to T and stay above 0. They act
    only on what is shared, not on the heads.

    Args:
        tasks: Number of tasks, T.
        asymmetry: How strongly slow tasks are favored, at least 0; 0 makes all gradients equally long.
        lr: Learning rate of the weights.
        shared: The arguments of `GradientBalancer`.

    Raises:
        ValueError: If the asymmetry is negative, or the learning rate negative or infinite.
    """

    absorbs = True

    first: Tensor

    def __init__(self, tasks: int, asymmetry: float = 1.5, lr: float = 0.025, **shared: Any) -> None:
        if not asymmetry >= 0:
            raise ValueError(f"expected an asymmetry of 0 or more, found {asymmetry}")
        super().__init__(tasks, **shared)
        self.asymmetry = asymmetry
        self.learned = TaskAdam(torch.ones(tasks), lr)
        self.register_buffer("first", torch.zeros(tasks))
        self.slope: tuple[Tensor, Tensor] | None = None
        """The gradient of the weights (T,) and the active tasks (T,), until the optimizer step is taken."""

    def gradient_weights(self, gramian: Tensor, active: Tensor) -> Tensor:
        """The current weights (T,); their update is computed here, and applied after the optimizer step."""
        norms = gramian.diagonal().sqrt()
        count = active.sum().clamp(min=1)
        first = torch.where(active & (self.first == 0), self.losses, self.first)
        rates = (self.losses / first).where(active, 0.0)
        weighted_norms = (self.learned.value * norms).where(active, 0.0)
        relative_rates = rates / (rates.sum() / count)
        targets = weighted_norms.sum() / count * relative_rates**self.asymmetry
        slope = torch.sign(weighted_norms - targets) * norms
        self.slope = slope.to(first.dtype), active
        self.next["first"] = first
        return self.learned.value.double()

    @override
    def learn(self, losses: Tensor, active: Tensor) -> None:
        """Moves the weights of the active tasks, and rescales them so that their sum stays the same."""
        super().learn(losses, active)
        if self.slope is None:
            return
        slope, active = self.slope
        sum_before = self.learned.value.where(active, 0.0).sum()
        self.learned.step(slope, active)
        value = self.learned.value.clamp(min=1e-3)
        scale = sum_before / value.where(active, 0.0).sum()
        self.learned.value.copy_(torch.where(active, value * scale, self.learned.value))
        self.slope = None

    @override
    def begin(self) -> None:
        super().begin()
        self.slope = None
