"""The heads that a configuration declares for a model, without the model's network."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from fusionseg.config.errors import mendable
from fusionseg.config.trust import imported
from fusionseg.engine.tasks import planned
from fusionseg.heads import Head
from fusionseg.module import FusionModule

HEADS = ("semantic_head", "region_head", "scene_head", "extra_heads")
WEIGHTS = ("alpha", "beta", "gamma")


def configured_heads(model: Namespace, classes: int) -> dict[str, Callable[[Any], Head]]:
    """The recipe of the head of each task; none for a model with other arguments than a `FusionModule`.

    Args:
        model: The model's settings, parsed: `class_path` and `init_args`.
        classes: The number of classes.

    Raises:
        UserError: If they make no model.
    """
    kind = imported(model.class_path)
    if (
        not issubclass(kind, FusionModule)
        or not {*HEADS, *WEIGHTS} <= inspect.signature(kind).parameters.keys()
    ):
        return {}
    hints = get_type_hints(FusionModule.__init__)
    parser = ArgumentParser(exit_on_error=False)
    for name in HEADS:
        parser.add_argument(f"--{name}", type=hints[name])
    given = model.init_args
    made = parser.instantiate(Namespace({name: given[name] for name in HEADS}))  # type: ignore[no-untyped-call]
    weights = {task: given[name] for task, name in zip(("semantic", "region", "scene"), WEIGHTS, strict=True)}
    recipes = {task: made[f"{task}_head"] for task in weights}
    if not weights["scene"]:
        recipes["scene"] = None
    with mendable():
        heads, _ = planned(recipes, weights, made.extra_heads or {}, classes)
    return heads
