"""The tasks of a module: the recipes of their heads, and the weights of their losses."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from fusionseg.config.recipe import made
from fusionseg.heads import ExtraHead, Head
from fusionseg.networks.base import HeadRecipe

Made = TypeVar("Made")

FACTORS = {"semantic": "alpha", "region": "beta", "scene": "gamma"}
"""The module's argument that weighs a task's loss; for further tasks it is `extra_heads.<task>.weight`."""

TAKEN = (
    *("semantic", "region", "scene", "fused", "panoptic", "image", "name", "index"),
    *("confidence", "probabilities", "log_probabilities", "contours", "contour_logits"),
    *("entropy", "disagreement", "explain", "attribution"),
    *("boundaries", "overlay", "segments", "classes", "maps"),
)
"""Names that further tasks cannot have: heads, predictions or entries of a sample have them."""


def factor_of(task: str) -> str:
    """The argument of the module that weighs a task's loss."""
    return FACTORS.get(task, f"extra_heads.{task}.weight")


def loss_weights(**weights: float | None) -> dict[str, float]:
    """The weight of each task that has a head.

    Args:
        weights: The weight of each task; None where it has no head.

    Raises:
        ValueError: If no task has a head, a weight is negative or not finite, or all are 0.
    """
    present = {task: weight for task, weight in weights.items() if weight is not None}
    if not present:
        raise ValueError(
            "semantic_head and region_head are both null and gamma is 0: expected at least one head"
        )
    found = ", ".join(f"{factor_of(task)} = {weight}" for task, weight in present.items())
    if any(not math.isfinite(w) or w < 0 for w in present.values()):
        raise ValueError(f"expected finite loss weights of 0 or more, found {found}")
    if not any(present.values()):
        raise ValueError(
            f"nothing would be learned with {found}: expected a positive weight for a head that is there"
        )
    return present


def planned(
    recipes: Mapping[str, Callable[..., Head] | None],
    weights: Mapping[str, float],
    extra: Mapping[str, ExtraHead],
    classes: int,
) -> tuple[dict[str, HeadRecipe], dict[str, float]]:
    """The tasks that have a head: the recipe of each head, and the weight of each loss.

    Args:
        recipes: The recipe of each task's head; None where it has none.
        weights: The weight of each of these tasks' losses.
        extra: Further tasks.
        classes: The number of classes, given to heads with an argument `num_classes`.

    Raises:
        ValueError: If a task has another one's head, a further task a name that is taken, or the weights do
            not make a loss.
    """
    for task in extra:
        if task in TAKEN:
            instead = f"set {task}_head and {FACTORS[task]}" if task in FACTORS else "choose another name"
            raise ValueError(f"expected further tasks in extra_heads, found {task}: {instead}")
    present = {task: recipe for task, recipe in recipes.items() if recipe}
    present |= {task: one.head for task, one in extra.items()}
    for task, recipe in present.items():
        if getattr(made(recipe), "task", task) != task:
            raise ValueError(
                f"expected a {task} head, found {made(recipe).__name__}, which is for another task"
            )
    every = {**weights, **{task: one.weight for task, one in extra.items()}}
    losses = loss_weights(**{task: weight if task in present else None for task, weight in every.items()})
    return {task: sized(recipe, classes) for task, recipe in present.items()}, losses


def sized(recipe: Callable[..., Made], classes: int) -> Callable[..., Made]:
    """The recipe of a head or a metric, with the number of classes filled in if it takes it."""
    if "num_classes" not in inspect.signature(made(recipe)).parameters:
        return recipe
    return partial(recipe, num_classes=classes)
