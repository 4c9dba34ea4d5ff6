"""The one loss of all tasks: L = alpha * L_semantic + beta * L_region."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from fusionseg.recipe import made

_NAMES = {"semantic": "alpha", "region": "beta"}


def loss_weights(**weights: float | None) -> dict[str, float]:
    """The weight of each task that has a head.

    Args:
        weights: Of each task, alpha or beta, or nothing where there is no head.

    Raises:
        ValueError: If no task has a head, a weight is negative or not finite, or all are 0.
    """
    present = {task: weight for task, weight in weights.items() if weight is not None}
    if not present:
        raise ValueError("semantic_head and region_head are both null: expected at least one head")
    found = ", ".join(f"{_NAMES[task]} = {weight}" for task, weight in present.items())
    if any(not math.isfinite(w) or w < 0 for w in present.values()):
        raise ValueError(f"expected finite loss weights of 0 or more, found {found}")
    if not any(present.values()):
        raise ValueError(f"nothing would be learned with {found}: expected a positive weight for a head that is there")
    return present


def divided(sums: Tensor, weights: Tensor) -> Tensor:
    """The loss of each task from the sums and weights of its terms (T, K); an exact zero where nothing is labelled."""
    return (sums / torch.where(weights > 0, weights, 1)).sum(1)


def weighted(losses: Tensor, weights: Iterable[float]) -> Tensor:
    """The weighted sum of the tasks' losses (T,)."""
    # the weights stay on the host: to copy them to the device would wait for it
    return torch.stack([w * loss for w, loss in zip(weights, losses.unbind(), strict=True)]).sum()


def check_parts(semantic_head: Any, region_head: Any, encoder_lr: float, l1: float) -> None:
    """Raises a ValueError where a head is for the other task, or a factor is negative or not finite."""
    for task, recipe in (("semantic", semantic_head), ("region", region_head)):
        if getattr(made(recipe), "task", task) != task:
            raise ValueError(f"expected a {task} head, found {made(recipe).__name__}, which is for the other task")
    for name, value in (("encoder_lr", encoder_lr), ("l1", l1)):
        if not 0 <= value < math.inf:
            raise ValueError(f"expected {name} of 0 or more, found {value}")
