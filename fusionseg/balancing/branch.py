"""The point at which the tasks part."""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from typing_extensions import override


class Branch(nn.Module):
    """Hands one copy of the shared maps to each task, and turns the gradients of all of them into one on the way back.

    This happens within the ordinary backward pass: autograd calls the function behind it once, when the gradients of
    all tasks with respect to the shared maps have arrived. Behind this point a network must not mix the tasks again, or
    a copy's gradient is not its task's. Without `balance` all tasks share the same maps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.balance: Callable[[Tensor], Tensor] | None = None
        """From the Gramian (T, T) of the gradients to a weight for each (T,); without it a backward pass adds them."""
        self.dtype = torch.float32
        """In which precision the Gramian is added up."""

    def forward(self, maps: Sequence[Tensor], tasks: Sequence[str]) -> dict[str, list[Tensor]]:
        """The maps for each task; those that need no gradient are the same for all."""
        learned = [m for m in maps if m.requires_grad]
        if self.balance is None or not learned or not torch.is_grad_enabled():
            return {task: list(maps) for task in tasks}
        copies = iter(Parting.apply(self, len(tasks), *learned))
        return {task: [next(copies) if m.requires_grad else m for m in maps] for task in tasks}


class Parting(Function):
    """A copy of each map for each task; backwards the weighted sum of the tasks' gradients."""

    @staticmethod
    @override
    def forward(ctx: Any, branch: Branch, tasks: int, *maps: Tensor) -> tuple[Tensor, ...]:
        ctx.branch, ctx.tasks = branch, tasks
        ctx.set_materialize_grads(False)
        return tuple(m.view_as(m) for _ in range(tasks) for m in maps)

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        size = len(gradients) // ctx.tasks
        whole = [dense(gradient) for gradient in gradients]
        rows = [whole[size * task : size * (task + 1)] for task in range(ctx.tasks)]
        branch = ctx.branch
        products = gramian(rows, branch.dtype)
        weights = branch.balance(products) if branch.balance else torch.ones_like(products[0])
        return None, None, *(combined(column, weights) for column in zip(*rows, strict=True))


def dense(gradient: Tensor | None) -> Tensor | None:
    """The same gradient without gaps in memory, which slices of a concatenation have: it is read several times."""
    layouts = (torch.contiguous_format, torch.channels_last)
    if gradient is None or any(gradient.is_contiguous(memory_format=layout) for layout in layouts):
        return gradient
    return gradient.clone()


def gramian(rows: Sequence[Sequence[Tensor | None]], dtype: torch.dtype = torch.float32) -> Tensor:
    """The inner products (T, T) of T gradients, each in several parts; a part that is missing is zero.

    Args:
        rows: For each task the parts of its gradient.
        dtype: The precision in which products are added up.
    """
    device = next((part.device for row in rows for part in row if part is not None), None)
    entries = [[torch.zeros((), dtype=dtype, device=device) for _ in rows] for _ in rows]
    for i, j in combinations_with_replacement(range(len(rows)), 2):
        for p, q in zip(rows[i], rows[j], strict=True):
            if p is not None and q is not None:
                entries[i][j] = entries[i][j] + inner(p, q, dtype)
        entries[j][i] = entries[i][j]
    return torch.stack([torch.stack(row) for row in entries])


def inner(p: Tensor, q: Tensor, dtype: torch.dtype) -> Tensor:
    """The inner product of two tensors of one shape, added up in a precision; nothing is copied into another layout."""
    if p.dtype == torch.float16 or dtype == torch.float64:
        p, q = p.to(dtype), q.to(dtype)  # squares of half-precision gradients underflow
    return (p * q).sum(dtype=dtype)


def combined(parts: Sequence[Tensor | None], weights: Tensor) -> Tensor | None:
    """The weighted sum of tensors of one shape, of which some may be missing."""
    present = [
        (part, weight) for part, weight in zip(parts, weights.unbind(), strict=True) if part is not None
    ]
    if not present:
        return None
    dtype = present[0][0].dtype
    wide = (
        torch.float32 if dtype == torch.float16 else dtype
    )  # weights of short gradients may be too large for it
    total = present[0][0].to(wide) * present[0][1].to(wide)
    for part, weight in present[1:]:
        total.addcmul_(part.to(wide), weight.to(wide))
    return total.to(dtype)
