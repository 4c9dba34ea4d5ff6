"""Gradients that are taken by hand, task by task, instead of by one backward pass."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fusionseg.engine.distributed import world_size


def reached(loss: Tensor) -> list[nn.Parameter]:
    """The parameters that a loss depends on."""
    found: dict[nn.Parameter, None] = {}
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[node.variable] = None
        waiting += [inner for inner, _ in node.next_functions]
    return list(found)


def averaged(gradients: Sequence[Tensor]) -> None:
    """Puts the mean over ranks in the place of each gradient, in one call for each kind of number."""
    if world_size() == 1:
        return
    for dtype in {gradient.dtype for gradient in gradients}:
        group = [gradient for gradient in gradients if gradient.dtype == dtype]
        flat = torch.cat([gradient.reshape(-1) for gradient in group])
        dist.all_reduce(flat)
        means = torch.split(flat.div_(world_size()), [gradient.numel() for gradient in group])
        for gradient, mean in zip(group, means, strict=True):
            gradient.copy_(mean.view(gradient.shape))


def deposit(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Adds a tensor that nobody else holds to a parameter's gradient, in the parameter's own memory layout."""
    if parameter.grad is not None:
        parameter.grad += gradient
    elif gradient.stride() == parameter.stride():
        parameter.grad = gradient
    else:  # fused optimizers read the memory of a gradient as they do the parameter's
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
