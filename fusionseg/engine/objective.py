"""The loss of all tasks, L = alpha * L_semantic + beta * L_region + ..., and the state of a training step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fusionseg.balancing import Balancer
from fusionseg.config.errors import UserError
from fusionseg.engine.distillation import Distillation
from fusionseg.engine.distributed import reduced, world_size
from fusionseg.engine.penalty import Penalty
from fusionseg.engine.seeding import reseed
from fusionseg.engine.tasks import factor_of
from fusionseg.heads import Head
from fusionseg.heads.base import Target
from fusionseg.networks import Network
from fusionseg.networks.base import Outputs
from fusionseg.sample import Sample

BALANCING = 2**31
"""Seed key of the balancers' random numbers: the same on all ranks, and no rank's own key."""


@dataclass
class Step:
    """The state of one training step, from its losses to the update of the weights.

    Args:
        position: The epoch, and the batch within it.
        loss: What the backward pass begins with: the task losses, weighted by the balancer, and the penalty.
        terms: The (sums, weights) (K_t,) of each task's terms on this rank.
        divisors: The weights over the global batch (T, K), 1 where nothing is labelled.
        factors: The weight of each task's loss (T,).
        losses: The loss of each task over the global batch (T,), without a gradient.
        total: The weighted sum of `losses` and the penalty, without a gradient.
        penalty: What no balancer weighs, a scalar; None if there is nothing.
        batch: The batch, if the balancer wants its losses again after the update.
        taught: The teacher's outputs for it.
    """

    position: tuple[int, int] = (0, 0)
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    terms: Sequence[tuple[Tensor, Tensor]] = ()
    divisors: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    factors: Tensor = field(default_factory=lambda: torch.zeros(0))
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    penalty: Tensor | None = None
    batch: Sample | None = None
    taught: Outputs = field(default_factory=dict)

    def task_losses(self) -> list[Tensor]:
        """The loss of each task times its weight: this rank's share times the number of ranks.

        DDP takes the mean of the ranks' gradients, so that this gives the gradient of the global loss. They
        have no part of their graphs in common behind the terms, which `loss` has.
        """
        scales = world_size() * self.factors[:, None] / self.divisors
        return [
            (sums * scale[: len(sums)]).sum() for (sums, _), scale in zip(self.terms, scales, strict=True)
        ]

    def free(self) -> None:
        """Lets go of the graph, which would otherwise be in memory during the next forward pass."""
        self.terms = ()
        self.penalty = None
        self.loss = self.loss.detach()


class Objective:
    """The losses of all tasks of a network, summed as the balancer says.

    Not a module: it refers to the network and the balancer, which the LightningModule owns.

    Args:
        network: The network, whose heads have the losses.
        balancer: Weighs the losses or their gradients.
        weights: The weight of each task's loss, in the order of the tasks.
        penalty: What is added to the weighted losses.
        distillation: What the network learns of a teacher's.
    """

    def __init__(
        self,
        network: Network,
        balancer: Balancer,
        weights: Mapping[str, float],
        penalty: Penalty,
        distillation: Distillation,
    ) -> None:
        self.network = network
        self.balancer = balancer
        self.weights = dict(weights)
        self.penalty = penalty
        self.distillation = distillation
        self.current = Step()
        """The state of the last step."""
        self._factors = torch.tensor(list(weights.values()), dtype=torch.float64)

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the order in which their losses are listed."""
        return list(self.weights)

    @property
    def notice(self) -> str:
        """Lines for users who set a loss weight that the balancer cancels, or two penalties for one."""
        chosen = [f"{factor_of(task)} {w:g}" for task, w in self.weights.items() if w not in (0, 1)]
        if not chosen or not self.balancer.absorbs or len(self.tasks) == 1:
            return self.penalty.notice
        line = (
            f"{type(self.balancer).__name__} undoes constant factors of a loss: {', '.join(chosen)} will "
            "matter until its weights have settled, or not at all (docs/balancing.md)"
        )
        return "\n".join(filter(None, (line, self.penalty.notice)))

    def step(self, refinements: Sequence[Outputs], batch: Sample, position: tuple[int, int]) -> Step:
        """The losses of a batch.

        Args:
            refinements: For each refinement of the network the output of each task's head.
            batch: This rank's batch.
            position: The epoch, and the batch within it.
        """
        # few operations, for all tasks at once, and of them two with a gradient: each takes its time
        taught = self.distillation.outputs(batch)
        terms = self.training_terms(refinements, batch, taught)
        sums, weights = padded_terms(terms)
        with torch.no_grad():
            global_sums, global_weights = sums, weights
            if world_size() > 1:
                global_sums, global_weights = reduced(torch.stack([sums, weights]))
            divisors = global_weights + (global_weights == 0)
            losses = (global_sums / divisors).sum(1)
            factors = self.factors(losses)
            weighted = losses * factors
        if self.balancer.draws:
            reseed(losses.device, *position, BALANCING)
        balance = self.balancer(weighted, global_weights.any(1))
        scale = factors * balance.to(factors.dtype)
        loss = (sums * (scale[:, None] / divisors)).sum()
        if world_size() > 1:
            loss = loss * world_size()
        total = weighted.sum()
        if (penalty := self.penalty(self.distillation.distance())) is not None:
            loss = loss + penalty
            total = total + self.distillation.over_ranks(penalty)
        again = (batch, taught) if self.balancer.looks_again else ()
        self.current = Step(position, loss, terms, divisors, factors, losses, total, penalty, *again)
        return self.current

    def terms(self, refinements: Sequence[Outputs], batch: Sample) -> list[tuple[Tensor, Tensor]]:
        """For each task the (sums, weights) of its loss terms on this rank, (K_t,) each, of all refinements.

        Raises:
            UserError: If the batch lacks labels that a head needs.
        """
        terms: list[tuple[Tensor, Tensor]] = []
        for task in self.tasks:
            head: Any = self.network.heads[task]
            target = target_of(head, batch)
            pairs = [head.loss(refinement[task], target) for refinement in refinements]
            if len(pairs) > 1:
                sums, weights = zip(*pairs, strict=True)
                pairs = [(torch.cat(sums), torch.cat(weights))]
            terms += pairs
        return terms

    def training_terms(
        self, refinements: Sequence[Outputs], batch: Sample, taught: Outputs
    ) -> list[tuple[Tensor, Tensor]]:
        """The terms of each task's loss with those of a teacher, which are no part of the validation loss.

        Args:
            refinements: For each refinement of the network the output of each task's head.
            batch: This rank's batch.
            taught: The teacher's outputs for it.
        """
        terms = self.terms(refinements, batch)
        if not taught:
            return terms
        found = []
        for task, own in zip(self.tasks, terms, strict=True):
            sums, weights = zip(own, *self.distillation.terms(task, refinements, taught), strict=True)
            found.append((torch.cat(sums), torch.cat(weights)))
        return found

    def weighted_losses(self, refinements: Sequence[Outputs], batch: Sample, taught: Outputs) -> Tensor:
        """The training loss of each task over the global batch (T,), times its weight."""
        terms = self.training_terms(refinements, batch, taught)
        sums, weights = reduced(torch.stack(padded_terms(terms)))
        losses = divided(sums, weights)
        return losses * self.factors(losses)

    def factors(self, like: Tensor) -> Tensor:
        """The weights of the tasks (T,), on the device and in the precision of a tensor."""
        if self._factors.device != like.device or self._factors.dtype != like.dtype:
            self._factors = self._factors.to(like)
        return self._factors


class _MissingLabelsError(KeyError):
    """A head asks for labels that its batch does not have."""


class _Labels(dict[str, Any]):
    """A batch of which a missing key is told from all other missing keys in a head's own code."""

    def __missing__(self, key: str) -> Any:
        raise _MissingLabelsError(key)


def target_of(head: Head, batch: Sample) -> Target:
    """The target that a head makes of a batch.

    Raises:
        UserError: If the batch lacks labels that the head needs.
    """
    try:
        return head.target(_Labels(batch))
    except _MissingLabelsError as error:
        raise UserError(
            f"expected batches with {error.args[0]!r}, which {type(head).__name__} needs, found "
            f"{', '.join(batch)}: choose data with these labels (data.dataset), or leave the head out"
        ) from error


def divided(sums: Tensor, weights: Tensor) -> Tensor:
    """The loss of each task (T,) from its (sums, weights) (T, K); an exact zero where nothing is labelled."""
    return (sums / torch.where(weights > 0, weights, 1)).sum(1)


def padded_terms(terms: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The sums and the weights of all tasks (T, K) from those of each (K_t,), padded with zeros."""
    sums, weights = zip(*terms, strict=True)
    if len({len(each) for each in sums}) > 1:
        return pad_sequence(list(sums), batch_first=True), pad_sequence(list(weights), batch_first=True)
    return torch.stack(sums), torch.stack(weights)
