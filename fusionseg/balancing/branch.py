"""The branching point of a network, where the gradients of all tasks meet in the backward pass."""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from typing_extensions import override


class Branch(nn.Module):
    """Copies the shared maps for each task, and combines the tasks' gradients in the backward pass.

    Autograd calls the backward function once, within the ordinary backward pass, when the gradients of all
    tasks with respect to the shared maps have arrived. Behind the branching point a network must not mix
    tasks again, otherwise the gradient of a copy would not be that of its task. Without `balance` all tasks
    read the same maps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.balance: Callable[[Tensor], Tensor] | None = None
        """From the Gramian (T, T) of the gradients to their weights (T,); without it, gradients are added."""
        self.dtype = torch.float32
        """Precision in which the inner products are accumulated."""

    def forward(self, maps: Sequence[Tensor], tasks: Sequence[str]) -> dict[str, list[Tensor]]:
        """The shared maps for each task.

        Args:
            maps: Shared feature maps, each (B, C, H, W); those that need no gradient are not copied.
            tasks: The names of the tasks.
        """
        differentiable = [m for m in maps if m.requires_grad]
        if self.balance is None or not differentiable or not torch.is_grad_enabled():
            return {task: list(maps) for task in tasks}
        copies = iter(_Branching.apply(self, len(tasks), *differentiable))
        return {task: [next(copies) if m.requires_grad else m for m in maps] for task in tasks}


class _Context(FunctionCtx):
    """State of the forward pass that the backward pass needs."""

    branch: Branch
    tasks: int


class _Branching(Function):
    """Copies each map for each task; its backward is the weighted sum of the tasks' gradients."""

    @staticmethod
    @override
    def forward(ctx: _Context, branch: Branch, tasks: int, *maps: Tensor) -> tuple[Tensor, ...]:
        ctx.branch = branch
        ctx.tasks = tasks
        ctx.set_materialize_grads(False)
        return tuple(m.view_as(m) for _ in range(tasks) for m in maps)

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: _Context, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        maps = len(gradients) // ctx.tasks
        dense = [_dense(gradient) for gradient in gradients]
        by_task = [dense[maps * task : maps * (task + 1)] for task in range(ctx.tasks)]
        products = gramian(by_task, ctx.branch.dtype)
        balance = ctx.branch.balance
        weights = balance(products) if balance is not None else torch.ones_like(products[0])
        by_map = zip(*by_task, strict=True)
        return None, None, *(combined(of_tasks, weights) for of_tasks in by_map)


def _dense(gradient: Tensor | None) -> Tensor | None:
    """The gradient in dense memory, unlike slices of a concatenation, because it is read several times."""
    layouts = (torch.contiguous_format, torch.channels_last)
    if gradient is None or any(gradient.is_contiguous(memory_format=layout) for layout in layouts):
        return gradient
    return gradient.clone()


def gramian(gradients: Sequence[Sequence[Tensor | None]], dtype: torch.dtype = torch.float32) -> Tensor:
    """The inner products (T, T) of the gradients of T tasks.

    >>> gramian([[torch.tensor([1.0, 2.0]), None], [torch.tensor([3.0, 0.0]), torch.tensor([4.0])]])
    tensor([[ 5.,  3.],
            [ 3., 25.]])

    Args:
        gradients: For each task its gradient with respect to the same tensors, in the same order; `None` is
            zero.
        dtype: Precision in which the products are accumulated.
    """
    present = (g for of_task in gradients for g in of_task if g is not None)
    first = next(present, None)
    zero = torch.zeros((), dtype=dtype, device=None if first is None else first.device)
    products = [[zero for _ in gradients] for _ in gradients]
    for i, j in combinations_with_replacement(range(len(gradients)), 2):
        for p, q in zip(gradients[i], gradients[j], strict=True):
            if p is not None and q is not None:
                products[i][j] = products[i][j] + _inner_product(p, q, dtype)
        products[j][i] = products[i][j]
    return torch.stack([torch.stack(row) for row in products])


def _inner_product(p: Tensor, q: Tensor, dtype: torch.dtype) -> Tensor:
    """The inner product of two tensors of one shape; unlike `torch.dot`, it keeps their memory layout."""
    if p.dtype == torch.float16 or dtype == torch.float64:
        # squares of half-precision gradients underflow
        p = p.to(dtype)
        q = q.to(dtype)
    return (p * q).sum(dtype=dtype)


def combined(gradients: Sequence[Tensor | None], weights: Tensor) -> Tensor | None:
    """The weighted sum of the tasks' gradients with respect to one tensor, or `None` if no task has one.

    Args:
        gradients: A gradient for each task, all of the same shape; `None` is zero.
        weights: The weight of each task (T,).
    """
    terms = [(g, weight) for g, weight in zip(gradients, weights.unbind(), strict=True) if g is not None]
    if not terms:
        return None
    gradient, weight = terms[0]
    dtype = gradient.dtype
    # the weights of very small gradients can exceed the range of float16
    wide = torch.float32 if dtype == torch.float16 else dtype
    total = gradient.to(wide) * weight.to(wide)
    for gradient, weight in terms[1:]:
        total.addcmul_(gradient.to(wide), weight.to(wide))
    return total.to(dtype)
