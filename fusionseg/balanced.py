"""The half of a LightningModule that turns the losses of several tasks into gradients."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from fusionseg.balancing import Balancer, GradientBalancer
from fusionseg.balancing.branch import combined, gramian
from fusionseg.balancing.checks import check_weights
from fusionseg.engine.distributed import reduced, world_size
from fusionseg.engine.loss_log import LossLog
from fusionseg.engine.objective import FACTORS, divided, shares, table
from fusionseg.engine.seeding import reseed
from fusionseg.engine.task_gradients import averaged, deposit, reached
from fusionseg.measured import MeasuredModule
from fusionseg.networks import Network
from fusionseg.sample import Classes, Sample


class BalancedModule(MeasuredModule):
    """A network whose tasks are balanced: their weighted losses become the gradient that the optimizer sees.

    Args:
        classes: The classes of the data.
        loss_weights: The weight of each task, which has a head.
        network: The network.
        balancer: How the weighted losses become a gradient.
        l1: Weight of the sum of the absolute values of all parameters.

    Raises:
        ValueError: If gradients are to be balanced at a branching point and the network has none, or the balancer does
            not give each task a finite weight.
    """

    factors: Tensor

    def __init__(
        self,
        classes: Classes,
        loss_weights: dict[str, float],
        network: Network,
        balancer: Balancer,
        l1: float,
    ) -> None:
        super().__init__(classes, loss_weights)
        self.network, self.balancer, self.l1 = network, balancer, l1
        self.register_buffer("factors", torch.tensor(list(loss_weights.values())), persistent=False)
        self.running = LossLog(self.tasks)
        self.parts: list[Tensor] = []
        """The loss of each task in this step, times its weight: this rank's share times the number of ranks."""
        self.loss, self.scale = torch.zeros(()), torch.ones(())
        """The loss of this step, and by what it was multiplied before the backward pass."""
        self.batch: Sample = {}
        self.place = (0, 0)
        """The epoch, and the batch within it."""
        check_weights(balancer)
        self.balance_at_branch(True)

    @property
    def by_task(self) -> bool:
        """Whether each task has a backward pass of its own."""
        balances = isinstance(self.balancer, GradientBalancer) and self.balancer.level == "parameters"
        return balances and len(self.tasks) > 1

    @property
    def notice(self) -> str:
        """A line for whoever set a factor that the balancer undoes, or nothing."""
        set_ = [f"{FACTORS[task]} {w:g}" for task, w in self.loss_weights.items() if w not in (0, 1)]
        if not set_ or not self.balancer.absorbs or len(self.tasks) == 1:
            return ""
        name = type(self.balancer).__name__
        told = (
            f"{', '.join(set_)} will matter until its weights have settled, or not at all (docs/balancing.md)"
        )
        return f"{name} undoes constant factors of a loss: {told}"

    @override
    def training_step(self, batch: Sample, _: int) -> Tensor:
        rows = self.rows(self(batch["image"]), batch)
        terms = reduced(table(rows).detach())
        losses = divided(*terms)
        reseed(
            self.device, *self.place, 2**31
        )  # what a balancer draws is the same on all ranks, and no rank's dropout
        weights = self.balancer(losses * self.factors, (terms[1] > 0).any(1))
        each = shares(rows, terms[1], world_size())
        self.parts = [loss * factor for loss, factor in zip(each, self.loss_weights.values(), strict=True)]
        loss = torch.stack(
            [part * weight for part, weight in zip(self.parts, weights.unbind(), strict=True)]
        ).sum()
        total = (losses * self.factors).sum()
        if self.l1:
            penalty = self._penalty()
            loss, total = loss + penalty, total + penalty.detach()
        self.running.add(total, losses, self.global_step, batch["name"])
        self.loss, self.batch = loss, batch if self.balancer.looks_again else {}
        return loss

    @override
    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if isinstance(self.balancer, GradientBalancer):
            (self.scale,) = torch.autograd.grad(loss, self.loss, retain_graph=True)
        if self.by_task:
            self._backward_by_task()
        else:
            super().backward(loss, *args, **kwargs)

    @override
    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        super().optimizer_zero_grad(epoch, batch_idx, optimizer)
        self.balancer.begin()

    def balance_at_branch(self, learns: bool) -> None:
        """Has gradients balanced at the branching point, if that is the balancer's level and what is shared learns."""
        branch, balancer = self.network.branch, self.balancer
        if not isinstance(balancer, GradientBalancer) or balancer.level != "branch":
            return
        if branch is None:
            name = type(self.network).__name__
            raise ValueError(
                f"expected a network with a branching point, for {type(balancer).__name__} to balance gradients there; "
                f"in {name} the tasks' paths meet behind every cut: set model.balancer.level to parameters"
            )
        branch.balance = self._weigh if learns and len(self.tasks) > 1 else None
        branch.dtype = balancer.dtype

    def reseed_dropout(self) -> None:
        """Lets dropout draw other numbers on each rank and in each step, and the same ones in a resumed run."""
        reseed(self.device, *self.place, self.global_rank)

    def stepped(self, optimizer: Optimizer, *_: Any) -> None:
        """Tells the balancer that the optimizer made a step, or that a gradient scaler made it leave the step out."""
        again = self._losses_again() if self.balancer.looks_again else None
        self.balancer.stepped(getattr(optimizer, "found_inf", None), again)

    def _weigh(self, products: Tensor) -> Tensor:
        """The weights (T,) of gradients from the inner products (T, T) of what this rank has of them, still scaled."""
        assert isinstance(self.balancer, GradientBalancer)
        return self.balancer.weigh(reduced(products) / (self.scale * world_size()).to(products.dtype) ** 2)

    def _backward_by_task(self) -> None:
        """A backward pass for each task, after which what is shared gets the weighted sum of the tasks' gradients."""
        assert isinstance(self.balancer, GradientBalancer)
        rows: list[dict[nn.Parameter, Tensor]] = []
        for part in self.parts:
            wanted = reached(part)  # anew, for what is frozen changes
            more = (
                part is not self.parts[-1]
            )  # a graph that is kept would be in memory during the next forward pass
            given = torch.autograd.grad(
                part, wanted, self.scale.to(part.dtype), retain_graph=more, allow_unused=True
            )
            rows.append({p: g for p, g in zip(wanted, given, strict=True) if g is not None})
            averaged(list(rows[-1].values()))
        self.parts, self.loss = [], self.loss.detach()
        every = dict.fromkeys(p for row in rows for p in row)
        common = dict.fromkeys(p for p in every if sum(p in row for row in rows) > 1)
        products = gramian([[row.get(p) for p in common] for row in rows], self.balancer.dtype)
        weights = self.balancer.weigh(products.to(self.device) / self.scale.to(products.dtype) ** 2)
        for parameter in every:
            column = [row.get(parameter) for row in rows]
            total = combined(column, weights if parameter in common else torch.ones_like(weights))
            assert total is not None
            deposit(parameter, total)
        if self.l1:
            learned = [p for p in self.parameters() if p.requires_grad]
            for parameter, slope in zip(learned, torch.autograd.grad(self._penalty(), learned), strict=True):
                deposit(parameter, slope * self.scale)

    def _penalty(self) -> Tensor:
        return self.l1 * torch.stack([p.abs().sum() for p in self.parameters() if p.requires_grad]).sum()

    @torch.no_grad()
    def _losses_again(self) -> Tensor:
        """The weighted losses of the last batch (T,) with the weights as they are now, and the dropout of its step."""
        statistics = {name: value.clone() for name, value in self.network.named_buffers()}
        self.reseed_dropout()
        with self.trainer.precision_plugin.train_step_context():
            terms = reduced(table(self.rows(self(self.batch["image"]), self.batch)))
        for name, value in self.network.named_buffers():
            value.copy_(statistics[name])
        return divided(*terms) * self.factors
