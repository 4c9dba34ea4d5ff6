"""Combines the gradients of several tasks into one, by the weights of a balancer."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fusionseg.balancing import Balancer, GradientBalancer
from fusionseg.balancing.branch import combined, gramian
from fusionseg.config.errors import UserError
from fusionseg.engine.distributed import reduced, world_size
from fusionseg.engine.objective import Objective, Step
from fusionseg.networks import Network


class TaskGradients:
    """Balances the gradients of tasks, at the branching point or of the shared parameters.

    Not a module: it refers to the network and the balancer, which the LightningModule owns.

    Args:
        network: The network.
        balancer: The balancer.
        objective: The loss of all tasks.

    Raises:
        UserError: If gradients are to be balanced at a branching point and the network has none.
    """

    def __init__(self, network: Network, balancer: Balancer, objective: Objective) -> None:
        self.network = network
        self.balancer = balancer
        self.objective = objective
        self.scale = torch.ones(())
        """Factor of the loss before the backward pass, from gradient accumulation and the gradient scaler."""
        self.balance_at_branch(True)

    @property
    def by_task(self) -> bool:
        """Whether each task has a backward pass of its own."""
        by_parameters = isinstance(self.balancer, GradientBalancer) and self.balancer.level == "parameters"
        return by_parameters and len(self.objective.tasks) > 1

    def balance_at_branch(self, learns: bool) -> None:
        """Has gradients balanced at the branching point, if that is the balancer's level.

        Args:
            learns: Whether anything that the tasks share is trained.

        Raises:
            UserError: If the balancer's level is the branching point and the network has none.
        """
        branch = self.network.branch
        balancer = self.balancer
        if not isinstance(balancer, GradientBalancer) or balancer.level != "branch":
            return
        if branch is None:
            raise UserError(
                f"expected a network with a branching point, for {type(balancer).__name__} to balance "
                f"gradients there; in {type(self.network).__name__} the tasks' paths meet behind every cut: "
                "set model.balancer.level to parameters"
            )
        branch.balance = self._weigh if learns and len(self.objective.tasks) > 1 else None
        branch.dtype = balancer.dtype

    def measure_scale(self, loss: Tensor, step: Step) -> None:
        """Finds by what Lightning multiplied a step's loss, where gradients are balanced."""
        if isinstance(self.balancer, GradientBalancer):
            (self.scale,) = torch.autograd.grad(loss, step.loss, retain_graph=True)

    def backward(self, step: Step) -> None:
        """Runs a backward pass for each task; shared parameters get the weighted sum of the gradients."""
        assert isinstance(self.balancer, GradientBalancer)
        penalty = self._of_penalty(step)
        gradients = self._gradients(step)
        every = dict.fromkeys(p for own in gradients for p in own)
        shared = dict.fromkeys(p for p in every if sum(p in own for own in gradients) > 1)
        products = gramian([[own.get(p) for p in shared] for own in gradients], self.balancer.dtype)
        weights = self.balancer.weigh(products.to(self.scale.device) / self.scale.to(products.dtype) ** 2)
        for parameter in every:
            column = [own.get(parameter) for own in gradients]
            total = combined(column, weights if parameter in shared else torch.ones_like(weights))
            assert total is not None
            deposit(parameter, total)
        for parameter, slope in penalty.items():
            deposit(parameter, slope)

    def _gradients(self, step: Step) -> list[dict[nn.Parameter, Tensor]]:
        """The gradients of each task, averaged over ranks; the graph is freed."""
        gradients = []
        losses = step.task_losses()
        for loss in losses:
            wanted = reached(loss)  # anew in each step, because parameters are frozen and thawed
            scale = self.scale.to(loss.dtype)
            found = torch.autograd.grad(
                loss, wanted, scale, retain_graph=loss is not losses[-1], allow_unused=True
            )
            gradients.append(_averaged(wanted, found))
        step.free()
        return gradients

    def _of_penalty(self, step: Step) -> dict[nn.Parameter, Tensor]:
        """The gradient of what is no task's loss, averaged over ranks; the graph is kept for the tasks."""
        if step.penalty is None:
            return {}
        wanted = reached(step.penalty)
        scale = self.scale.to(step.penalty.dtype)
        slopes = torch.autograd.grad(step.penalty, wanted, scale, retain_graph=True, allow_unused=True)
        return _averaged(wanted, slopes)

    def _weigh(self, products: Tensor) -> Tensor:
        """The weights (T,) of gradients, from the inner products (T, T) of this rank's scaled ones."""
        assert isinstance(self.balancer, GradientBalancer)
        scale = (self.scale * world_size()).to(products.dtype)
        return self.balancer.weigh(reduced(products) / scale**2)


def reached(loss: Tensor) -> list[nn.Parameter]:
    """The parameters that a loss depends on."""
    found: dict[nn.Parameter, None] = {}
    seen = set()
    waiting = [loss.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[node.variable] = None
        waiting += [inner for inner, _ in node.next_functions]
    return list(found)


def _averaged(wanted: Sequence[nn.Parameter], found: Sequence[Tensor | None]) -> dict[nn.Parameter, Tensor]:
    """The gradients of parameters, averaged over ranks; of those that have one."""
    # one that is expanded, as that of a sum, cannot be written to
    own = {
        p: g.contiguous() if 0 in g.stride() else g
        for p, g in zip(wanted, found, strict=True)
        if g is not None
    }
    average_over_ranks(list(own.values()))
    return own


def average_over_ranks(gradients: Sequence[Tensor]) -> None:
    """Replaces each gradient by its mean over ranks, in one collective call for each dtype."""
    if world_size() == 1:
        return
    # ordered, as all ranks have to make their calls in one order
    for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):
        group = [gradient for gradient in gradients if gradient.dtype == dtype]
        flat = torch.cat([gradient.reshape(-1) for gradient in group])
        dist.all_reduce(flat)
        means = torch.split(flat.div_(world_size()), [gradient.numel() for gradient in group])
        for gradient, mean in zip(group, means, strict=True):
            gradient.copy_(mean.view(gradient.shape))


def deposit(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Adds a tensor to a parameter's gradient, in the parameter's memory layout."""
    if parameter.grad is not None:
        parameter.grad += gradient
    elif gradient.stride() == parameter.stride():
        parameter.grad = gradient
    else:  # fused optimizers read the memory of a gradient as they do the parameter's
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
