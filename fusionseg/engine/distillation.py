"""Learning from a teacher: its outputs for each task, and the maps that its tasks share."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from fusionseg.config.errors import UsageError
from fusionseg.engine.distributed import reduced, world_size
from fusionseg.engine.feature_distillation import SharedMaps
from fusionseg.engine.mean_teacher import MeanTeacher
from fusionseg.engine.teacher import Teacher, check_channels, task_weights
from fusionseg.networks import Network
from fusionseg.networks.base import Outputs
from fusionseg.sample import Sample

NO_IMAGES: Mapping[str, str] = MappingProxyType({})

Term = tuple[Tensor, Tensor]
"""The (sums, weights) (K,) of a task's loss on this rank."""


class Distillation:
    """What a network learns of a teacher's.

    The distance of outputs is a further term of each task's loss, which balancers see as that task's. That of
    the maps that tasks share is no task's: it is part of the penalty.

    Not a module: the teacher's network is none of the student's parts, and no optimizer, checkpoint or
    device placement of Lightning's knows it.

    Args:
        network: The network that learns.
        teacher: Which model it learns from, and what of it; None for nothing.
    """

    def __init__(self, network: Network, teacher: Teacher | None = None) -> None:
        self.network = network
        self.teacher = teacher
        self.taught: Network | None = None
        """The teacher's network."""
        self.mean: MeanTeacher | None = None
        """What moves it, if it is the mean of the student."""
        self.weights: dict[str, float] = {}
        """The weight of the distance of outputs, by task."""
        self.maps: SharedMaps | None = None
        """The shared maps, where they are compared."""
        self.digest = ""
        self.images: dict[str, str] = {}
        """What the teacher was trained on, names by digests."""
        self._rise = 1.0
        """The factor of all weights."""

    def learn_from(self, taught: Network, digest: str = "", images: Mapping[str, str] = NO_IMAGES) -> None:
        """Takes a network as teacher, before it is known where the training runs.

        Args:
            taught: The network, which is frozen for good.
            digest: Tells it from others when the training is interrupted and goes on.
            images: What it was trained on, names by digests.

        Raises:
            UsageError: If the two cannot be compared.
        """
        assert self.teacher is not None
        self.weights = task_weights(
            self.teacher, dict(self.network.heads.items()), dict(taught.heads.items())
        )
        check_channels(self.network, taught, self.teacher.name)
        self.taught = taught.requires_grad_(False).eval()
        self.digest = digest
        self.images = dict(images)
        if self.teacher.features:
            self.maps = SharedMaps(self.network, taught, alone=not self.weights)
            self.network.adapter = self.maps.adapter

    def learn_from_mean(self) -> None:
        """Takes the running mean of the network as teacher, before it is known where the training runs.

        Raises:
            UsageError: If outputs cannot be compared.
        """
        assert self.teacher is not None
        self.mean = MeanTeacher(self.network, self.teacher.decay)
        self.learn_from(self.mean.network)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Distillation":
        """A copy for a copy of the network; the teacher is the same."""
        made = object.__new__(type(self))
        memo[id(self)] = made
        memo[id(self.taught)] = self.taught
        vars(made).update(copy.deepcopy(vars(self), memo))
        return made

    def begin(self, device: torch.device, precision: str, goes_on: bool) -> None:
        """Brings the teacher to where the training runs.

        Args:
            device: The device of the training.
            precision: Lightning's name of its precision.
            goes_on: Whether the training does, from what `resume` was given.

        Raises:
            UsageError: If it was not loaded, or a mean cannot follow in this precision.
        """
        if self.teacher is None:
            return
        if self.taught is None:
            raise UsageError(
                f"{self.teacher.name} was not loaded: train with fusionseg.Trainer, or hand a network to "
                "distillation.learn_from",
                "model.teacher",
            )
        self.taught.to(device, next(self.network.parameters()).dtype)
        self.taught.arrange(device.type, precision)
        if self.mean is not None:
            self.mean.begin(self.network, goes_on)

    def advance(self, step: int) -> None:
        """Tells how many steps were made, before the forward pass of the next one."""
        if self.teacher is not None:
            self._rise = self.teacher.rise(step)
        if self.mean is not None:
            self.mean.follow(step)

    def outputs(self, batch: Sample) -> Outputs:
        """The final outputs of the teacher, which sees the weak views; empty without a teacher.

        They are empty too if none are compared: nothing behind the teacher's shared map is computed then.
        """
        found: Outputs = {}
        if self.taught is not None:
            image = batch["weak" if "weak" in batch else "image"]
            with torch.no_grad(), nullcontext() if self.maps is None else self.maps.of(self.taught):
                found = self.taught(image)[-1]
        return found

    def terms(self, task: str, refinements: Sequence[Outputs], taught: Outputs) -> list[Term]:
        """The distance of each refinement to the teacher's outputs, as terms of a task's loss.

        Args:
            task: The task; one that the teacher does not teach has none.
            refinements: For each refinement of the network the output of each task's head.
            taught: What `outputs` gave for the same images.
        """
        weight = self.weights.get(task, 0)
        if not weight or self.teacher is None or not taught:
            return []
        head: Any = self.network.heads[task]
        found = [head.distillation(r[task], taught[task], self.teacher.temperature) for r in refinements]
        return [(sums * (weight * self._rise), counts) for sums, counts in found]

    def distance(self) -> Tensor | None:
        """The weighted distance of the shared maps of the last step, a scalar; None if none are compared.

        It is this rank's, and DDP takes the mean of the ranks' gradients: ranks have equal shares of a batch.
        """
        if self.teacher is None or self.maps is None:
            return None
        return self._rise * self.teacher.features * self.maps.distance()

    def over_ranks(self, penalty: Tensor) -> Tensor:
        """A penalty that includes the distance, over the global batch, without a gradient."""
        if self.maps is not None and world_size() > 1:
            return reduced(penalty.detach()) / world_size()
        return penalty.detach()

    def state(self) -> dict[str, Any]:
        """What a training that goes on needs: which teacher it was, and the adapter."""
        adapter = dict(self.maps.adapter.named_parameters()) if self.maps is not None else {}
        state = {"digest": self.digest, "adapter": {name: p.detach() for name, p in adapter.items()}}
        return state if self.mean is None else {**state, "mean": self.mean.state()}

    @torch.no_grad()
    def resume(self, saved: Mapping[str, Any]) -> None:
        """Goes on with what `state` gave.

        Raises:
            UsageError: If the teacher is another one.
        """
        if self.taught is None or self.teacher is None:
            return
        if (self.mean is None) == ("mean" in saved):
            other = "the running mean of its own weights" if "mean" in saved else "another teacher, or none"
            raise UsageError(
                f"expected {self.teacher.name} as the run began, found {other} in the checkpoint: a run goes "
                "on as it began",
                "model.teacher.run",
            )
        if saved.get("digest") != self.digest:
            raise UsageError(
                f"the best checkpoint of {self.teacher.name} is another than the run began with: a run goes "
                "on as it began",
                "model.teacher.run",
            )
        if self.mean is not None:
            self.mean.resume(saved["mean"])
        if self.maps is not None:
            for name, parameter in self.maps.adapter.named_parameters():
                parameter.copy_(saved["adapter"][name])
