"""Small convex programs solved on the device, without waiting for it: every face is tried.

The minimum of a convex function over the simplex or the positive orthant lies within one of its faces, where it is free
of constraints and has a closed form. For T tasks there are 2^T faces, few enough to solve all of them at once.
"""

import torch
from torch import Tensor


def faces(active: Tensor) -> Tensor:
    """The non-empty subsets of the tasks as masks (2^T - 1, T); those with a task that is not active are empty."""
    tasks = len(active)
    numbers = torch.arange(1, 2**tasks, device=active.device)
    masks = (numbers[:, None] >> torch.arange(tasks, device=active.device)) & 1 > 0
    return masks & (masks <= active).all(1, keepdim=True)


def inverses(matrix: Tensor, masks: Tensor) -> Tensor:
    """The inverse of each face's part of a positive semi-definite matrix (T, T), zero elsewhere: (F, T, T).

    The identity times 1e-14, added to the matrix of cosines, keeps faces of parallel gradients from dividing by zero.
    """
    inside = (masks[:, :, None] & masks[:, None, :]).to(matrix.dtype)
    lengths = matrix.diagonal().sqrt().where(matrix.diagonal() > 0, 1.0)
    scale = lengths * lengths[:, None]
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    blocks = (matrix / scale + 1e-14 * identity) * inside + identity * (~masks[:, :, None])
    found: Tensor = torch.linalg.inv_ex(blocks).inverse
    return found * inside / scale


def best(candidates: Tensor, values: Tensor, possible: Tensor) -> Tensor:
    """The candidate (T,) of lowest value among those that lie in their face.

    Args:
        candidates: A point for each face (F, T), of which no coordinate may be negative.
        values: The function's value at each (F,).
        possible: Which faces there are (F,), bool.
    """
    lies_within = (candidates >= 0).all(1) & possible & values.isfinite()
    lowest = values.where(lies_within, torch.inf).argmin()
    return candidates.index_select(0, lowest[None])[0]  # candidates[lowest] would wait for it
