"""A teacher whose weights are the running mean of its student's."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fusionseg.config.errors import UsageError
from fusionseg.networks import Network


class MeanTeacher:
    """The exponential moving mean of a network's weights (Tarvainen and Valpola, arXiv:1703.01780).

    After step t it moves by `1 - min(decay, 1 - 1 / (t + 1))` of the way to the network's weights, so that
    its first steps are the plain mean. Running statistics move alike. It learns by nothing else.

    Args:
        student: The network whose mean it is.
        decay: How much of the mean is kept in each step, in [0, 1).
    """

    def __init__(self, student: Network, decay: float) -> None:
        self.network: Network = copy.deepcopy(student).requires_grad_(False).eval()
        self.decay = decay
        self.step: int | None = None
        """The steps that the mean is of; None before the first one of a training."""
        self._pairs: list[tuple[Tensor, Tensor]] = []
        """Each tensor of the mean with the student's."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "MeanTeacher":
        """The same: a copy of the student, such as its own mean, is not followed."""
        return self

    def begin(self, student: Network, goes_on: bool = False) -> None:
        """Finds the student's tensors, on the device where the training runs.

        Args:
            student: The network whose mean it is.
            goes_on: Whether the training does; else the mean starts anew with the first step.

        Raises:
            UsageError: If the weights are too coarse for a mean.
        """
        dtype = next(student.parameters()).dtype
        if torch.finfo(dtype).bits < 32:
            raise UsageError(
                f"a running mean of weights in {str(dtype).removeprefix('torch.')} stands still: use "
                "bf16-mixed, or a teacher that is a run",
                "trainer.precision",
            )
        if not goes_on:
            self.step = None
        theirs = student.state_dict(keep_vars=True)
        self._pairs = [(mean, theirs[name]) for name, mean in self.network.state_dict().items()]

    @torch.no_grad()
    def start(self, step: int) -> None:
        """Takes the student's weights as they are after so many steps."""
        self.step = step
        for mean, own in self._pairs:
            mean.copy_(own)

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Moves the mean to the student's weights, if it made a step since; starts it with the first one.

        Args:
            step: The steps so far.
        """
        if self.step is None:
            # not earlier, as batch statistics may have been re-estimated in the meantime
            self.start(step)
        if step == self.step:
            return
        self.step = step
        share = max(1 - self.decay, 1 / (step + 1))
        floats = [pair for pair in self._pairs if pair[0].is_floating_point()]
        average = get_ema_multi_avg_fn(1 - share)  # type: ignore[no-untyped-call]
        average([mean for mean, _ in floats], [own.detach() for _, own in floats], None)
        for mean, own in self._pairs:
            if not mean.is_floating_point():
                mean.copy_(own)

    def state(self) -> dict[str, Any]:
        """What a training that goes on needs."""
        return {"step": self.step, "weights": self.network.state_dict()}

    def resume(self, saved: Mapping[str, Any]) -> None:
        """Goes on with what `state` gave."""
        self.step = saved["step"]
        self.network.load_state_dict(saved["weights"])
