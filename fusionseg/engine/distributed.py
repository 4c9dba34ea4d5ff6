"""Collective operations over the ranks of a distributed run; they also work in a single process."""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def world_size() -> int:
    """The number of processes that train together; 1 if torch.distributed is not initialized."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def reduced(values: Tensor) -> Tensor:
    """The elementwise sum of a tensor over ranks, on its device and without synchronizing with it."""
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def lowest(values: Tensor) -> Tensor:
    """The elementwise minimum of a tensor over ranks, on its device and without synchronizing with it."""
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values, dist.ReduceOp.MIN)
    return values


def gathered(values: Tensor) -> Tensor:
    """The tensors of all R ranks, stacked in the order of the ranks (R, ...)."""
    if world_size() == 1:
        return values[None]
    of_ranks = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(of_ranks, values.contiguous())
    return torch.stack(of_ranks)


def gathered_objects(value: T) -> list[T]:
    """The objects of all ranks, which must be picklable, in the order of the ranks."""
    of_ranks = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(of_ranks, value)
    return of_ranks


def from_first_rank(make: Callable[[], T]) -> T:
    """What a function gives on rank 0, for all ranks; the others wait and do not call it.

    Args:
        make: The function; what it gives or raises must be picklable.

    Raises:
        Exception: On all ranks, whatever the function raised.
    """
    made: list[T | Exception] = []
    if world_size() == 1 or dist.get_rank() == 0:
        try:
            made = [make()]
        except Exception as error:
            made = [error]
    result = gathered_objects(made)[0][0]
    if isinstance(result, Exception):
        raise result
    return result
