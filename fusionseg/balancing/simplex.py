"""Small convex programs over the simplex, solved exactly and on the device by enumerating all faces.

The minimum of a convex function over the simplex or the positive orthant lies in the interior of one of its
faces, where it is unconstrained and has a closed form. T tasks have 2^T faces, few enough to solve all of
them at once, without synchronizing with the device.
"""

import torch
from torch import Tensor


def faces(active: Tensor) -> Tensor:
    """The non-empty subsets of the tasks as masks (2^T - 1, T), bool.

    Subsets that contain an inactive task are replaced by empty ones, so that the shape does not depend on
    `active`.

    >>> faces(torch.tensor([True, False, True])).int().tolist()
    [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 0]]

    Args:
        active: Which tasks are balanced (T,), bool.
    """
    tasks = len(active)
    numbers = torch.arange(1, 2**tasks, device=active.device)
    bits = torch.arange(tasks, device=active.device)
    masks = (numbers[:, None] >> bits) & 1 > 0
    return masks & (masks <= active).all(1, keepdim=True)


def inverses(matrix: Tensor, masks: Tensor) -> Tensor:
    """The inverse of each face's block of a Gramian, zero outside of the block (F, T, T).

    The matrix is scaled to cosines, and 1e-14 is added to its diagonal, so that faces of parallel gradients
    have an inverse too.

    Args:
        matrix: A positive semi-definite matrix (T, T).
        masks: Faces (F, T), bool.
    """
    inside = (masks[:, :, None] & masks[:, None, :]).to(matrix.dtype)
    norms = matrix.diagonal().sqrt().where(matrix.diagonal() > 0, 1.0)
    scale = norms * norms[:, None]
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    cosines = matrix / scale + 1e-14 * identity
    # ones on the diagonal outside of the block make the whole matrix invertible
    blocks = cosines * inside + identity * (~masks[:, :, None])
    inverse: Tensor = torch.linalg.inv_ex(blocks).inverse
    return inverse * inside / scale


def best(candidates: Tensor, values: Tensor, possible: Tensor) -> Tensor:
    """The feasible candidate of lowest value (T,).

    Args:
        candidates: A point for each face (F, T); it is feasible if no coordinate is negative.
        values: The value of the objective at each point (F,).
        possible: Which faces exist (F,), bool.
    """
    feasible = (candidates >= 0).all(1) & possible & values.isfinite()
    lowest = values.where(feasible, torch.inf).argmin()
    # candidates[lowest] would synchronize with the device
    return candidates.index_select(0, lowest[None])[0]
