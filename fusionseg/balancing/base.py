"""The contract of a balancer."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn


class Balancer(nn.Module, ABC):
    """How the tasks' losses, each times its alpha or beta, become a gradient.

    A task is *active* in a step if the global batch has labels of it and its loss is not 0. One that is not is left
    out: the others are balanced as if it did not exist, and nothing that is remembered of it moves. One that is alone
    has the weight 1. What is remembered are buffers, which a checkpoint holds, the same on all ranks; they only change
    after an optimizer step that was taken.

    Args:
        tasks: Number of tasks.
    """

    absorbs: ClassVar[bool] = False
    """Whether the direction of the shared gradient comes not to depend on constant factors of the losses."""
    looks_again: ClassVar[bool] = False
    """Whether `stepped` wants the losses of the batch once more."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 1:
            raise ValueError(f"expected at least one task to balance, found {tasks}")
        self.tasks = tasks
        self.weights = torch.ones(tasks)
        """The weights in force since the last step (T,), of losses or of gradients."""
        self.seen: list[tuple[Tensor, Tensor]] = []
        """The losses of the micro-batches since the last step, and which tasks were active in them."""
        self.again: Tensor | None = None
        """The losses of the last micro-batch after the step."""

    def forward(self, losses: Tensor, active: Tensor) -> Tensor:
        """The weights of the losses (T,) for a step.

        Args:
            losses: The losses over the global batch (T,), times alpha and beta, without a gradient.
            active: Which tasks are balanced (T,), bool.
        """
        active = active & (losses != 0)
        self.seen.append((losses, active))
        self.weights = self.settled(self.loss_weights(losses, active), active)
        return self.weights

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        # what is remembered moves by less than half precision can tell apart
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for buffer in self.buffers():
            if buffer.is_floating_point():
                buffer.data = buffer.data.to(torch.promote_types(buffer.dtype, torch.float32))
        return self

    @abstractmethod
    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The weights of the losses (T,); anything where a task is not active or is alone."""

    def begin(self) -> None:
        """Says that the last micro-batch is the first one of a step: what came before led to none."""
        self.seen = self.seen[-1:]

    @torch.no_grad()
    def stepped(self, skipped: Tensor | None = None, again: Tensor | None = None) -> None:
        """Says that the optimizer made its step.

        Args:
            skipped: A scalar on the device, positive if a gradient scaler left the step out after all.
            again: The losses of the last micro-batch after the step (T,), where `looks_again`.
        """
        self.again = again
        before = {} if skipped is None else {name: value.clone() for name, value in self.named_buffers()}
        if self.seen:
            losses, active = (torch.stack(part) for part in zip(*self.seen, strict=True))
            mean = (losses * active).sum(0) / active.sum(0).clamp(min=1)
            self.learn(mean, active.any(0))
        self.seen = []
        for name, value in self.named_buffers():
            if skipped is not None:
                value.copy_(torch.where(skipped > 0, before[name], value))

    def learn(self, losses: Tensor, active: Tensor) -> None:
        """Moves what is remembered after a step.

        Args:
            losses: The mean losses of the step's micro-batches (T,).
            active: Which tasks were active in at least one of them (T,).
        """

    def epoch_ended(self) -> None:
        """Is told that an epoch ended."""

    @staticmethod
    def settled(weights: Tensor, active: Tensor) -> Tensor:
        """The weights (T,) with 0 for tasks that are not active, and 1 for one that is alone."""
        return torch.where(active.sum() > 1, weights.where(active, 0), active.to(weights.dtype))


class Sum(Balancer):
    """The plain sum: every weight is 1."""

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """Ones."""
        return torch.ones_like(losses)
