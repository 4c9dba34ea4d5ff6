"""The one loss of all tasks: L = alpha * L_semantic + beta * L_region."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fusionseg.config.recipe import made

FACTORS = {"semantic": "alpha", "region": "beta", "scene": "gamma"}


def loss_weights(**weights: float | None) -> dict[str, float]:
    """The weight of each task that has a head.

    Args:
        weights: Of each task, alpha, beta or gamma, or nothing where there is no head.

    Raises:
        ValueError: If no task has a head, a weight is negative or not finite, or all are 0.
    """
    present = {task: weight for task, weight in weights.items() if weight is not None}
    if not present:
        raise ValueError(
            "semantic_head and region_head are both null and gamma is 0: expected at least one head"
        )
    found = ", ".join(f"{FACTORS[task]} = {weight}" for task, weight in present.items())
    if any(not math.isfinite(w) or w < 0 for w in present.values()):
        raise ValueError(f"expected finite loss weights of 0 or more, found {found}")
    if not any(present.values()):
        raise ValueError(
            f"nothing would be learned with {found}: expected a positive weight for a head that is there"
        )
    return present


def divided(sums: Tensor, weights: Tensor) -> Tensor:
    """The loss of each task from the sums and weights of its terms (T, K); an exact zero where nothing is labelled."""
    return (sums / torch.where(weights > 0, weights, 1)).sum(1)


def table(rows: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The sums and weights (2, T, K) of each task's terms (K_t,), padded with zeros."""
    return torch.stack([pad_sequence([row[i] for row in rows], batch_first=True) for i in (0, 1)])


def shares(rows: Sequence[tuple[Tensor, Tensor]], weights: Tensor, ranks: int) -> list[Tensor]:
    """What this rank's batch adds to each task's loss over the global batch, times the number of ranks.

    DDP takes the mean of the ranks' gradients, so that this gives the gradient of the global loss.

    Args:
        rows: Sums and weights (K_t,) of each task's terms on this rank.
        weights: The weights over the global batch (T, K).
        ranks: Number of ranks.
    """
    divisors = torch.where(weights > 0, weights, 1).unbind()
    return [(sums * ranks / d[: len(sums)]).sum() for (sums, _), d in zip(rows, divisors, strict=True)]


def check_parts(heads: Mapping[str, Any], encoder_lr: float, l1: float) -> None:
    """Raises a ValueError where a task has another one's head, or a factor is negative or not finite."""
    for task, recipe in heads.items():
        if getattr(made(recipe), "task", task) != task:
            raise ValueError(
                f"expected a {task} head, found {made(recipe).__name__}, which is for another task"
            )
    for name, value in (("encoder_lr", encoder_lr), ("l1", l1)):
        if not 0 <= value < math.inf:
            raise ValueError(f"expected {name} of 0 or more, found {value}")
