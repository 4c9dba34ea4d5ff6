"""What the ranks of a distributed run know together; in a single process it is what went in."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def reduced(values: Tensor) -> Tensor:
    """The sum of a tensor over ranks, on the device and without waiting for it."""
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def lowest(values: Tensor) -> Tensor:
    """The minimum of a tensor over ranks, on the device and without waiting for it."""
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values, dist.ReduceOp.MIN)
    return values


def gathered(values: Tensor) -> Tensor:
    """The tensors of all ranks (R, ...), in the order of the ranks."""
    if world_size() == 1:
        return values[None]
    every = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(every, values.contiguous())
    return torch.stack(every)


def gathered_objects(value: Any) -> list[Any]:
    """Any values of all ranks, in the order of the ranks."""
    every: list[Any] = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(every, value)
    return every
