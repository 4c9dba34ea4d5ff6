"""Losses that stay on the device until somebody reads them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fusionseg.engine.distributed import gathered, gathered_objects, lowest, reduced, world_size


class NotFiniteError(ValueError):
    """A training whose losses or weights are no numbers any more."""


class LossLog:
    """The mean losses since they were last read, over all ranks, and the first step at which one was not finite.

    Args:
        tasks: The tasks, in the order of their losses.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tasks
        self.latest: dict[str, float] = {}
        """What was read last."""
        self._resumed: dict[str, Any] | None = None
        self._reset(0)

    def _reset(self, step: int) -> None:
        self.total: Tensor | None = None
        self.first: Tensor | None = None
        self.count = 0
        self.logged = step
        self.images: dict[int, list[str]] = {}

    def start(self, step: int, rank: int, device: torch.device) -> None:
        """Begins anew at an optimizer step, or goes on from the state given to `resume`.

        On another number of ranks each has the mean of what those had that there were.
        """
        self._reset(step)
        if self._resumed is not None:
            self.count = self._resumed["count"]
            self.logged = self._resumed["logged"]
            if (total := self._resumed["total"]) is not None:
                own = total[rank] if len(total) == world_size() else total.mean(0)
                self.total = own.to(device)
        self._resumed = None

    def resume(self, state: dict[str, Any] | None) -> None:
        """Has the next `start` go on from what `state` returned."""
        self._resumed = state

    def add(self, loss: Tensor, losses: Tensor, step: int, images: Sequence[str]) -> None:
        """Adds what a step gave, without waiting for the device.

        Args:
            loss: The weighted sum.
            losses: The loss of each task (T,).
            step: The optimizer step.
            images: The names of its images.
        """
        values = torch.cat([loss[None], losses]).detach()
        bad = torch.where(losses.detach().isfinite(), torch.inf, float(step))
        self.total = values if self.total is None else self.total + values
        self.first = bad if self.first is None else torch.minimum(self.first, bad)
        self.count += 1
        self.images.setdefault(step, []).extend(images)

    def check(self) -> None:
        """Waits for the device and raises `NotFiniteError` where a loss was not finite; all ranks must ask together."""
        if self.first is None:
            return
        step, task = min(zip(lowest(self.first).tolist(), self.tasks, strict=True))
        if step != float("inf"):
            images = [name for names in gathered_objects(self.images.get(int(step), [])) for name in names]
            raise NotFiniteError(
                f"the {task} loss is not finite since step {int(step)}, images {', '.join(images)}: look at these, "
                "lower the learning rate, or clip gradients (trainer.gradient_clip_val); checkpoints are from before"
            )
        self.first, self.images = None, {}

    def due(self, step: int, every: int) -> bool:
        """Whether a multiple of `every` steps was passed since the last reading; never if that is 0."""
        return bool(every and step // every > self.logged // every)

    def read(self, step: int) -> dict[str, float]:
        """The mean losses, after which counting starts again; all ranks must read together.

        Raises:
            NotFiniteError: If one was not finite.
        """
        assert self.total is not None, "nothing was added"
        self.check()
        mean = (reduced(self.total) / (self.count * world_size())).tolist()
        self.total = None
        self.count = 0
        self.logged = step
        names = ["train/loss", *(f"train/loss_{task}" for task in self.tasks)]
        self.latest = dict(zip(names, mean, strict=True))
        return self.latest

    def state(self) -> dict[str, Any]:
        """What was added and not read yet, of all ranks together."""
        self.check()
        total = None if self.total is None else gathered(self.total).cpu()
        return {"total": total, "count": self.count, "logged": self.logged}


def check_finite(state: dict[str, Any], step: int) -> None:
    """Raises `NotFiniteError` where a model's weights hold NaN or infinity."""
    floats = {
        name: v for name, v in state.items() if isinstance(v, Tensor) and v.is_floating_point() and v.numel()
    }
    if not floats or bool(torch.stack([v.isfinite().all() for v in floats.values()]).all()):
        return
    broken = [name for name, v in floats.items() if not v.isfinite().all()]
    raise NotFiniteError(
        f"{len(broken)} weights are not finite after step {step}, {broken[0]} first: lower the learning rate, or clip "
        "gradients (trainer.gradient_clip_val); checkpoints are from before"
    )
