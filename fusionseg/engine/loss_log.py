"""Mean losses for logging, accumulated on the device until they are read."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fusionseg.config.errors import UserError
from fusionseg.engine.distributed import gathered, gathered_objects, lowest, reduced, world_size
from fusionseg.files.state_dicts import Checkpoint, not_finite

_AT_ONCE = 64
"""Micro-batches whose losses are added up together, as a few operations in each step take their time."""


class NotFiniteError(UserError):
    """The losses or weights of a training are NaN or infinite."""


class LossLog:
    """Mean losses over all ranks since they were last read, and the first step at which one was not finite.

    Args:
        tasks: The names of the T tasks, in the order of their losses.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tasks
        self.latest: dict[str, float] = {}
        """The means that were read last."""
        self._resumed: Checkpoint | None = None
        self._reset(0)

    def _reset(self, step: int) -> None:
        self.waiting: list[tuple[int, Tensor]] = []
        """The step and the losses (1 + T,) of micro-batches that are not in the sums yet."""
        self.total: Tensor | None = None
        """The sums of the weighted loss and of the losses of the tasks (1 + T,), on the device."""
        self.first: Tensor | None = None
        """The first step at which each task's loss was not finite (T,), infinity if there is none."""
        self.count = 0
        """Number of micro-batches since the losses were last read."""
        self.logged = step
        """The step at which the losses were last read."""
        self.images: dict[int, list[str]] = {}
        """The names of the images of each step since the last check."""

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

    def resume(self, state: Checkpoint | None) -> None:
        """Has the next `start` go on from what `state` returned."""
        self._resumed = state

    def add(self, loss: Tensor, losses: Tensor, step: int, images: Sequence[str]) -> None:
        """Adds the losses of a micro-batch, without synchronizing with the device.

        Args:
            loss: The weighted sum of the losses, a scalar.
            losses: The loss of each task (T,).
            step: Number of optimizer steps so far.
            images: The names of the images of the micro-batch.
        """
        self.waiting.append((step, torch.cat([loss[None], losses]).detach()))
        self.count += 1
        self.images.setdefault(step, []).extend(images)
        if len(self.waiting) == _AT_ONCE:
            self._add_up()

    def check(self) -> None:
        """Checks that all losses were finite; synchronizes with the device, and must be called by all ranks.

        Raises:
            NotFiniteError: If one was not; the message names the task, the step and its images.
        """
        self._add_up()
        if self.first is None:
            return
        step, task = min(zip(lowest(self.first).tolist(), self.tasks, strict=True))
        if step != float("inf"):
            images: list[str] = []
            for of_rank in gathered_objects(self.images.get(int(step), [])):
                images += of_rank
            raise NotFiniteError(
                f"the {task} loss is not finite since step {int(step)}, images {', '.join(images)}: look at "
                "these, lower the learning rate, or clip gradients (trainer.gradient_clip_val); "
                "checkpoints are from before"
            )
        self.first = None
        self.images = {}

    def due(self, step: int, every: int) -> bool:
        """Whether a multiple of `every` steps was passed since the last reading; never if that is 0."""
        return bool(every and step // every > self.logged // every)

    def pop_means(self, step: int) -> dict[str, float]:
        """The mean losses since the last call, by their logged names; must be called by all ranks.

        >>> log = LossLog(["region"])
        >>> log.add(torch.tensor(1.0), torch.tensor([2.0]), step=0, images=["a"])
        >>> log.add(torch.tensor(2.0), torch.tensor([4.0]), step=1, images=["b"])
        >>> log.pop_means(2)
        {'train/loss': 1.5, 'train/loss_region': 3.0}

        Args:
            step: Number of optimizer steps so far.

        Raises:
            NotFiniteError: If a loss was not finite.
        """
        self.check()
        assert self.total is not None, "nothing was added"
        means = (reduced(self.total) / (self.count * world_size())).tolist()
        self.total = None
        self.count = 0
        self.logged = step
        names = ["train/loss", *(f"train/loss_{task}" for task in self.tasks)]
        self.latest = dict(zip(names, means, strict=True))
        return self.latest

    def state(self) -> Checkpoint:
        """The losses that were not read yet, for a checkpoint; must be called by all ranks.

        Raises:
            NotFiniteError: If a loss was not finite.
        """
        self.check()
        total = None if self.total is None else gathered(self.total).cpu()
        return {"total": total, "count": self.count, "logged": self.logged}

    def _add_up(self) -> None:
        """Adds what waits to the sums, one by one, so that they do not depend on when that happens."""
        if not self.waiting:
            return
        for _, values in self.waiting:
            self.total = values if self.total is None else self.total + values
        losses = torch.stack([values[1:] for _, values in self.waiting])
        steps = torch.tensor([[float(step)] for step, _ in self.waiting])
        steps = steps.to(losses.device, non_blocking=True)
        first = torch.where(losses.isfinite(), torch.inf, steps).amin(0)
        self.first = first if self.first is None else torch.minimum(self.first, first)
        self.waiting = []


def check_finite(state: Mapping[str, object], step: int) -> None:
    """Checks a model's weights before they are saved.

    Args:
        state: The state dict.
        step: The number of optimizer steps, for the message.

    Raises:
        NotFiniteError: If one holds NaN or infinity.
    """
    if wrong := not_finite(state):
        raise NotFiniteError(
            f"{len(wrong)} weights are not finite after step {step}, {wrong[0]} first: lower the learning "
            "rate, or clip gradients (trainer.gradient_clip_val); checkpoints are from before"
        )
