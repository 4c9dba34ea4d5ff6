"""The base class of all balancers, and the plain sum."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn


class Balancer(nn.Module, ABC):
    """Turns the losses of T tasks, each multiplied by its own factor (alpha, beta), into loss weights.

    A task is *active* in a step if the global batch has labels for it and its loss is not 0. An inactive task
    is left out: the others are balanced as if it did not exist, and its state does not change. A single
    active task has weight 1.

    All state is kept in buffers, so that checkpoints contain it. It is the same on all ranks, and changes
    only after an optimizer step that was really taken.

    Args:
        tasks: Number of tasks, T.

    Raises:
        ValueError: If there is no task.
    """

    absorbs: ClassVar[bool] = False
    """Whether the direction of the shared gradient comes not to depend on constant factors of the losses."""
    draws: ClassVar[bool] = True
    """Whether it may draw random numbers, for which the generators are seeded in each step."""
    looks_again: ClassVar[bool] = False
    """Whether `stepped` needs the losses of the same batch after the optimizer step."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 1:
            raise ValueError(f"expected at least one task to balance, found {tasks}")
        self.tasks = tasks
        self.weights = torch.ones(tasks)
        """The weights of the last step (T,), of losses or of gradients."""
        self.seen: list[tuple[Tensor, Tensor]] = []
        """Losses (T,) and active tasks (T,) of the micro-batches since the last optimizer step."""
        self.again: Tensor | None = None
        """Losses (T,) of the last micro-batch, computed again after the optimizer step."""

    def forward(self, losses: Tensor, active: Tensor) -> Tensor:
        """The loss weights (T,) of one step.

        Args:
            losses: Losses over the global batch (T,), multiplied by alpha and beta, detached.
            active: Which tasks are balanced (T,), bool.
        """
        active = active & (losses != 0)
        self.seen.append((losses, active))
        self.weights = self.settled(self.loss_weights(losses, active), active)
        return self.weights

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # updates of the state are smaller than the resolution of half precision, so it stays in float32
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for buffer in self.buffers():
            if buffer.is_floating_point():
                buffer.data = buffer.data.to(torch.promote_types(buffer.dtype, torch.float32))
        return self

    @abstractmethod
    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """The loss weights (T,); entries of inactive tasks, or of a single active task, are ignored.

        Args:
            losses: Losses over the global batch (T,).
            active: Which tasks are balanced (T,), bool.
        """

    def begin(self) -> None:
        """Starts an optimizer step with the last micro-batch; earlier ones led to no step and are dropped."""
        del self.seen[:-1]

    def stepped(self, skipped: Tensor | None = None, again: Tensor | None = None) -> None:
        """Updates the state after an optimizer step.

        Args:
            skipped: A scalar on the device, positive if a gradient scaler skipped the step.
            again: The losses of the last micro-batch after the step (T,), if `looks_again`.
        """
        if self.looks_again:
            self.again = again
        if self.seen and type(self).learn is not Balancer.learn:
            self._learn_from_seen(skipped)
        self.seen.clear()

    @torch.no_grad()
    def _learn_from_seen(self, skipped: Tensor | None) -> None:
        before = {} if skipped is None else {name: value.clone() for name, value in self.named_buffers()}
        losses = torch.stack([losses for losses, _ in self.seen])
        active = torch.stack([active for _, active in self.seen])
        mean = (losses * active).sum(0) / active.sum(0).clamp(min=1)
        self.learn(mean, active.any(0))
        if skipped is not None:
            # on the device, so that the host need not wait to learn whether the step was skipped
            for name, value in self.named_buffers():
                value.copy_(torch.where(skipped > 0, before[name], value))

    def learn(self, losses: Tensor, active: Tensor) -> None:
        """Updates the buffers after an optimizer step; by default there is nothing to update.

        Args:
            losses: Mean losses over the step's micro-batches (T,).
            active: Which tasks were active in at least one of them (T,), bool.
        """

    def epoch_ended(self) -> None:
        """Called at the end of each training epoch; by default does nothing."""

    @staticmethod
    def settled(weights: Tensor, active: Tensor) -> Tensor:
        """The weights (T,) with 0 for inactive tasks, and 1 for a single active task.

        >>> Balancer.settled(torch.tensor([0.25, 0.75]), torch.tensor([True, True])).tolist()
        [0.25, 0.75]
        >>> Balancer.settled(torch.tensor([0.25, 0.75]), torch.tensor([False, True])).tolist()
        [0.0, 1.0]
        """
        return torch.where(active.sum() > 1, weights.where(active, 0), active.to(weights.dtype))


class Sum(Balancer):
    """The plain sum of the losses: every weight is 1."""

    draws: ClassVar[bool] = False

    def loss_weights(self, losses: Tensor, active: Tensor) -> Tensor:
        """Ones (T,), and 0 for inactive tasks."""
        return active.to(losses.dtype)

    @staticmethod
    def settled(weights: Tensor, active: Tensor) -> Tensor:
        """The weights (T,), which are settled."""
        return weights
